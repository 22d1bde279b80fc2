"""A finished export as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from dwca_export.report.rows import block_rows, parity_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwca_export.pipeline import Export

_MAX_ROWS = 24


def print_report(export: Export) -> None:
    """Print blocks, parity, notes and where the bundle is."""
    console = Console(highlight=False)
    manifest = export.manifest
    blocks = block_rows(manifest)
    if blocks:
        _print(console, ("block", "channels", "reduced", "norm", "depthwise", "stride", "residual"), blocks)
    head = ("from", "to", "output", "relative L2", "max abs", "SQNR dB", "top-1")
    _print(console, head, parity_rows(manifest))
    for note in manifest["notes"]:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    console.print(f"bundle: {export.bundle}", markup=False, soft_wrap=True)


def _print(console: Console, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in head:
        table.add_column(column)
    for row in rows[:_MAX_ROWS]:
        table.add_row(*row)
    console.print(table)
    if len(rows) > _MAX_ROWS:
        console.print(f"... and {len(rows) - _MAX_ROWS} more, in report.html")
    console.print()
