"""Tells the user of each hop and its time, on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator


class Hop:
    """A hop in progress; `says` adds what it found."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""

    def says(self, text: str) -> None:
        """Set what the hop's line says."""
        self.text = text


class Progress:
    """Prints one line per hop when it is done; a terminal also shows the hop that is running.

    Args:
        quiet: Whether to print nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.seconds: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def hop(self, name: str) -> Iterator[Hop]:
        """Time a hop; a hop that fails prints nothing, the error does."""
        hop = Hop(name)
        start = time.perf_counter()
        with self._running(name):
            yield hop
        self.seconds.append((name, time.perf_counter() - start))
        self._print(visible(f"{name:<10} {self.seconds[-1][1]:6.2f} s  {hop.text}") + "\n")

    def totals(self) -> dict[str, float]:
        """Seconds by hop; a hop that ran for several sizes counts once."""
        totals: dict[str, float] = {}
        for name, seconds in self.seconds:
            totals[name] = totals.get(name, 0.0) + seconds
        return totals

    @contextlib.contextmanager
    def _running(self, name: str) -> Iterator[None]:
        shown = f"{name:<10} ..." if sys.stderr.isatty() else ""
        self._print(shown)
        try:
            yield
        finally:
            self._print("\b \b" * len(shown))

    def _print(self, text: str) -> None:
        if not self.quiet:
            with contextlib.suppress(OSError):  # nobody can read it, which is no reason to give up
                print(text, end="", file=sys.stderr, flush=True)  # noqa: T201  progress belongs to standard error
