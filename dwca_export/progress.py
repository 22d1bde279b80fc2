"""Tells the user of each hop and its time, on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

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
    """Prints one line per hop when it is done.

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
        yield hop
        self.seconds.append((name, time.perf_counter() - start))
        self.say(f"{name:<10} {self.seconds[-1][1]:6.2f} s  {hop.text}")

    def totals(self) -> dict[str, float]:
        """Seconds by hop; a hop that ran for several sizes counts once."""
        totals: dict[str, float] = {}
        for name, seconds in self.seconds:
            totals[name] = totals.get(name, 0.0) + seconds
        return totals

    def say(self, text: str) -> None:
        """Print a line."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)  # noqa: T201  progress belongs to standard error
