"""Where the results of `dwca-bench` go: standard output, and files in three formats."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from dwca_export.bench.export import to_csv, to_json, to_pyperf, write_whole
from dwca_export.bench.results import EMULATED
from dwca_export.cli.options import printing
from dwca_export.errors import UsageError
from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dwca_export.errors import DwcaExportError

_WIDTH_OF_A_FILE = 160  # where standard output is no terminal


@dataclass(frozen=True)
class Output:
    """Writes what was measured.

    Attributes:
        save: Where to write the JSON document; None for nowhere.
        csv: Where to write the rows; None for nowhere.
        pyperf: Where to write the samples for pyperf; None for nowhere.
        as_json: Whether standard output is one JSON document.
        quiet: Whether only errors are printed.
    """

    save: Path | None = None
    csv: Path | None = None
    pyperf: Path | None = None
    as_json: bool = False
    quiet: bool = False

    def check(self, *, emulated: bool) -> None:
        """Refuse what could not be written in the end, before anything is measured.

        Raises:
            UsageError: No such folder, or a format that nothing but times goes into, under emulation.
        """
        for option, path in (("--save", self.save), ("--csv", self.csv), ("--pyperf", self.pyperf)):
            if path and (path.is_dir() or not path.absolute().parent.is_dir()):
                what = "is a folder" if path.is_dir() else "cannot be written: there is no such folder"
                raise UsageError(what, where=f"{option} {path}", hint="name a file")
        if self.pyperf and emulated:
            raise UsageError(f"nothing to write: {EMULATED}", where="--pyperf", hint="leave it out")

    def checkpoint(self, document: Mapping[str, Any]) -> None:
        """Write the files while the measurement goes on.

        Raises:
            UsageError: A file cannot be written.
        """
        self._write(document)

    def show(self, document: Mapping[str, Any], text: Callable[[int], str]) -> None:
        """Write the files, and print the document or its text.

        Args:
            document: The result.
            text: Makes the report for people, for a width in columns.

        Raises:
            UsageError: It cannot be written.
        """
        self._write(document)
        with printing("--save FILE writes it to a file"):
            if self.as_json:
                print(json.dumps(document, allow_nan=False))  # noqa: T201
            elif not self.quiet:
                print(text(width()), end="")  # noqa: T201

    def _write(self, document: Mapping[str, Any]) -> None:
        for path, form in ((self.save, to_json), (self.csv, to_csv), (self.pyperf, to_pyperf)):
            if path:
                write_whole(path, form(document))


def width() -> int:
    """Columns that there are on standard output."""
    console = Console()
    return console.width if console.is_terminal else _WIDTH_OF_A_FILE


def say(error: DwcaExportError) -> int:
    """Say on standard error what is wrong with a result that has been shown all the same.

    Returns:
        The exit code.
    """
    print("\n".join(map(visible, f"error: {error}".splitlines())), file=sys.stderr, flush=True)  # noqa: T201
    return error.exit_code
