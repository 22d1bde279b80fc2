"""What `dwca-detect` prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console

from dwca_export.cli.options import printing
from dwca_export.report.grid import grid_text
from dwca_export.report.rows import Table
from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from dwca_export.detect.files import Report, Seen

_HEAD = ("image", "label", "score", "x0", "y0", "x1", "y1")
_NUMBERS = 5
_WIDTH_OF_A_FILE = 140  # where standard output is no terminal


def show(report: Report, *, as_json: bool, quiet: bool) -> None:
    """Print what was found.

    Args:
        report: What was found.
        as_json: Whether to print one JSON document.
        quiet: Whether to print nothing else.

    Raises:
        UsageError: Standard output does not take it.
    """
    with printing("the pictures are complete"):
        if as_json:
            print(json.dumps(report.document(), allow_nan=False))  # noqa: T201
        elif not quiet:
            print(text(report, _width()), end="")  # noqa: T201


def text(report: Report, width: int) -> str:
    """One line for each box, and where they are drawn.

    Args:
        report: What was found.
        width: Columns of the terminal.
    """
    rows = tuple(row for seen in report.images for row in _rows(seen, report.labels))
    folders = {str(seen.picture.parent) for seen in report.images if seen.picture}
    count, images = sum(len(seen.found.scores) for seen in report.images), len(report.images)
    where = f"; drawn in {visible(folders.pop())}" if folders else ""
    total = f"{_counted(count, 'box', 'boxes')} in {_counted(images, 'image', 'images')}"
    return grid_text(Table(_HEAD, rows, _NUMBERS), width) + f"\n{total}, scores from {_threshold(report)}{where}\n"


def _rows(seen: Seen, labels: tuple[str, ...]) -> list[tuple[str, ...]]:
    name = visible(seen.image)
    if not len(seen.found.scores):
        return [(name, "nothing", *[""] * _NUMBERS)]
    return [
        (name, visible(labels[label]), f"{score:.2f}", *(f"{side:.1f}" for side in box))
        for label, score, box in zip(seen.found.labels, seen.found.scores, seen.found.boxes, strict=True)
    ]


def _threshold(report: Report) -> str:
    return f"{report.spec.score_threshold:g}"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _width() -> int:
    console = Console()
    return console.width if console.is_terminal else _WIDTH_OF_A_FILE
