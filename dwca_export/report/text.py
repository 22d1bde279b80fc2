"""A finished export as text for people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from dwca_export.report.grid import grid
from dwca_export.report.rows import block_table, parity_table, size_table
from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from pathlib import Path

    from dwca_export.report.rows import Table

_MAX_ROWS = 24
_WIDTH_OF_A_FILE = 120  # where standard output is no terminal


def print_report(folder: Path, manifest: dict[str, Any]) -> None:
    """Print blocks, parity, sizes, notes and where the bundle is.

    Args:
        folder: The bundle.
        manifest: What its `manifest.json` says.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    if manifest["blocks"]:
        _print(console, f"Blocks with coordinate attention: {len(manifest['blocks'])}", block_table(manifest))
    samples = manifest["samples"]
    title = f"Parity on {samples['count']} of {samples['origin']}" if samples["kind"] != "noise" else "Parity on noise"
    _print(console, title, parity_table(manifest, worst_only=True))
    if manifest["any_size"]:
        _print(console, "Sizes", size_table(manifest))
    for note in manifest["notes"]:
        console.print(visible(f"note: {note}"), soft_wrap=True)
    console.print(visible(f"bundle: {folder}"), soft_wrap=True)


def _print(console: Console, title: str, table: Table) -> None:
    console.print(visible(title))
    console.print(grid(replace(table, rows=table.rows[:_MAX_ROWS])))
    if len(table.rows) > _MAX_ROWS:
        console.print(f"... and {len(table.rows) - _MAX_ROWS} more, in report.html")
    console.print()
