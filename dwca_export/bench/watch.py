"""Looks at clock and throttling while cases run, and keeps what changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dwca_export.bench.conditions import clock_mhz, throttling
from dwca_export.bench.processes import read_ticks, stolen
from dwca_export.bench.remarks import Course
from dwca_export.system_files import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SECONDS = 1.0


class Watch:
    """Looks at most once a second: reading these files takes time and cache.

    Args:
        root: What /proc and /sys lie in.
        clock: Tells the seconds that have passed.
    """

    def __init__(self, root: Path = ROOT, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._next = 0.0
        self._mhz: list[float] = []
        self._throttling: dict[str, None] = {}
        self._ticks = read_ticks(root)

    def look(self) -> None:
        """Look, unless that was done less than a second ago."""
        now = self._clock()
        if now >= self._next:
            self._next = now + _SECONDS
            self._throttling.update(dict.fromkeys(throttling(self._root)))
            mhz = clock_mhz(self._root)
            self._mhz += [mhz] if mhz is not None else []

    def course(self) -> Course:
        """What was seen until now."""
        first, last = (self._mhz[0], self._mhz[-1]) if self._mhz else (None, None)
        return Course(first, last, tuple(self._throttling), stolen(self._ticks, read_ticks(self._root)))
