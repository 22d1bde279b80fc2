"""Where the reports of `dwca-parity` go: standard output and standard error, the JUnit file, GitHub's log."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from dwca_export.cli.options import printing
from dwca_export.errors import DwcaExportError, UsageError
from dwca_export.report.parity_github import github_line_of_error, github_lines
from dwca_export.report.parity_junit import junit, junit_of_error
from dwca_export.report.parity_text import one_line_verdict, text
from dwca_export.report.precision_text import fix_text, ranges_text
from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from dwca_export.kernel_paths import KernelPath

_WIDTH_OF_A_FILE = 140  # where standard output is no terminal


@dataclass(frozen=True)
class Output:
    """Writes what a check found.

    Attributes:
        bundle: The folder that was judged.
        junit: Where to write the JUnit report; None for none.
        as_json: Whether standard output is one JSON document.
        quiet: Whether only errors are printed.
        all_layers: Whether the text shows every layer.
    """

    bundle: Path
    junit: Path | None = None
    as_json: bool = False
    quiet: bool = False
    all_layers: bool = False

    def show(self, document: Mapping[str, Any], paths: Sequence[KernelPath] | None = None) -> None:
        """Write a result.

        Args:
            document: What `dwca_export.audit.document` describes.
            paths: Which kernels ncnn takes, for the text; None if that was not asked for.

        Raises:
            UsageError: Standard output or the JUnit file does not take it.
        """
        verdict = visible(one_line_verdict(document))
        if self.junit:
            _write(self.junit, junit(document))
        with printing("the exit code says whether it passed"):
            if self.as_json:
                print(json.dumps(document, allow_nan=False))  # noqa: T201
            elif not self.quiet:
                self._print_text(document, paths)
        self._annotate(*github_lines(document, verdict))
        if verdict:
            print(f"error: parity failed: {verdict}", file=sys.stderr, flush=True)  # noqa: T201

    def _print_text(self, document: Mapping[str, Any], paths: Sequence[KernelPath] | None) -> None:
        width = _width()
        if paths is not None:
            from dwca_export.report.kernel_paths import kernel_paths_text

            print(kernel_paths_text(paths, width=width, every_layer=self.all_layers))  # noqa: T201
        if document["ranges"]:
            print(ranges_text(document["ranges"]))  # noqa: T201
        if document["precision_fix"]:
            print(fix_text(document["precision_fix"]))  # noqa: T201
        print(text(document, width=width, all_layers=self.all_layers), end="")  # noqa: T201

    @contextlib.contextmanager
    def reporting_errors(self) -> Iterator[None]:
        """Write an error that passes through to the JUnit file and to GitHub's log too."""
        try:
            yield
        except DwcaExportError as error:
            if self.junit:
                _write(self.junit, junit_of_error(self.bundle.name, error))
            self._annotate(github_line_of_error(error))
            raise

    def _annotate(self, *lines: str) -> None:
        """GitHub reads standard error as well, which leaves standard output to the JSON document."""
        if os.environ.get("GITHUB_ACTIONS") == "true":
            for line in lines:
                print(line, file=sys.stderr if self.as_json or self.quiet else sys.stdout, flush=True)


def _width() -> int:
    console = Console()
    return console.width if console.is_terminal else _WIDTH_OF_A_FILE


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error.strerror}", where=str(path), hint="--junit takes a file"
        ) from error
