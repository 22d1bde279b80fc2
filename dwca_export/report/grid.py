"""Tables of text in columns, for people at a terminal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

if TYPE_CHECKING:
    from dwca_export.report.rows import Table


def grid(table: Table) -> RichTable:
    """The table for a console: texts to the left, numbers to the right, and what is too long goes on below."""
    columns = RichTable(box=None, pad_edge=False)
    texts = len(table.head) - table.numbers
    for index, name in enumerate(table.head):
        columns.add_column(name, justify="left" if index < texts else "right", overflow="fold")
    for row in table.rows:
        columns.add_row(*map(Text, row))
    return columns


def grid_text(table: Table, width: int) -> str:
    """The same as plain text.

    Args:
        table: What to show.
        width: Columns of the terminal.

    Returns:
        Lines without blanks at their ends; the last one ends too.
    """
    file = io.StringIO()
    Console(file=file, width=width, color_system=None, markup=False, emoji=False, highlight=False).print(grid(table))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())
