"""A manifest as a page of HTML that needs nothing else."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from dwca_export.report.rows import block_table, contrast_table, parity_table, size_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dwca_export.report.rows import Table

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1.5rem; font-size: 14px; }
th, td { border-bottom: 1px solid #ddd; padding: 0.3rem 0.6rem; text-align: left; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
code { background: #f4f4f4; padding: 0 0.2rem; }
"""


def page(manifest: dict[str, Any]) -> str:
    """The report of a bundle.

    Args:
        manifest: What `manifest.json` says.

    Returns:
        A whole HTML document.
    """
    name = escape(manifest["name"])
    inputs = ", ".join(f"{entry['name']} {'x'.join(map(str, entry['shape']))}" for entry in manifest["inputs"])
    size = "every height and width" if manifest["any_size"] else "this size only"
    body = [
        f"<h1>{name}</h1>",
        f"<p>{escape(manifest['source']['kind'])} <code>{escape(manifest['source']['file'])}</code>, "
        f"input {escape(inputs)} ({size}). Every backend agrees with the one before, on "
        f"{manifest['samples']['count']} samples of {escape(manifest['samples']['origin'])}.</p>",
        "<h2>Parity</h2>",
        _table(parity_table(manifest)),
        "<h2>Change of the outputs between the samples</h2>",
        _table(contrast_table(manifest)),
        "<h2>Sizes</h2>",
        _table(size_table(manifest)),
        "<h2>Blocks with coordinate attention</h2>",
        _table(block_table(manifest)) if manifest["blocks"] else "<p>None.</p>",
        "<h2>Notes</h2>",
        _list([*manifest["notes"], *(f"changed: {change}" for change in manifest["changes"])]),
        "<h2>Made with</h2>",
        _list(f"{tool} {version}" for tool, version in manifest["tools"].items()),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{name}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def _table(table: Table) -> str:
    lines = "\n".join(_row("td", row, table.numbers) for row in table.rows)
    return f"<table>\n{_row('th', table.head, table.numbers)}\n{lines}\n</table>"


def _row(tag: str, cells: tuple[str, ...], numbers: int) -> str:
    texts = len(cells) - numbers
    opening = [f"<{tag}>"] * texts + [f'<{tag} class="number">'] * numbers
    return (
        "<tr>" + "".join(f"{start}{escape(text)}</{tag}>" for start, text in zip(opening, cells, strict=True)) + "</tr>"
    )


def _list(lines: Iterable[str]) -> str:
    return "<ul>\n" + "\n".join(f"<li>{escape(line)}</li>" for line in lines) + "\n</ul>"
