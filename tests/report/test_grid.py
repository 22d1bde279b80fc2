from __future__ import annotations

from dwca_export.report.grid import grid_text
from dwca_export.report.rows import Table


def test_numbers_stand_to_the_right_and_no_line_ends_in_blanks():
    text = grid_text(Table(("name", "count"), (("[red]a[/]", "7"), ("b", "1234567")), numbers=1), 40)
    assert text == "name         count\n[red]a[/]        7\nb          1234567\n"


def test_what_is_too_long_goes_on_below():
    assert grid_text(Table(("name",), (("abcdef",),), numbers=0), 4) == "name\nabcd\nef\n"
