"""Runs cases in turn, round by round (A B C A B C ...), so that whatever the machine does meanwhile hits all alike."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dwca_export.errors import DwcaExportError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# A case is steady when the medians of its last two windows of warm-up differ by less than this, or than the scatter
# within them: caches, page tables, frequency and thread pools have settled by then.
_WINDOW = 5
_DRIFT = 0.03


@dataclass(frozen=True)
class Case:
    """Something that can be timed.

    Attributes:
        name: What it is called in results.
        run: Measures once and returns the seconds that one call took. A `DwcaExportError` from it ends this case alone.
    """

    name: str
    run: Callable[[], float]


@dataclass(frozen=True)
class Samples:
    """What was measured of one case.

    Attributes:
        name: The case.
        seconds: One time per round, as measured, in order.
        warmup: Those before, which do not count.
        steady: Whether the warm-up ended because the times had settled, and not because there was no more time for it.
        complete: Whether all rounds were run; False after an interrupt or a fault.
        fault: Why the case could not go on, empty if it could.
    """

    name: str
    seconds: tuple[float, ...] = ()
    warmup: tuple[float, ...] = ()
    steady: bool = True
    complete: bool = True
    fault: str = ""


@dataclass
class _Track:
    """A case in progress."""

    case: Case
    seconds: list[float] = field(default_factory=list)
    warmup: list[float] = field(default_factory=list)
    fault: str = ""

    def run(self, times: list[float]) -> None:
        try:
            times.append(self.case.run())
        except DwcaExportError as error:
            self.fault = error.what

    def samples(self, *, steady: bool, complete: bool) -> Samples:
        done = complete and not self.fault
        return Samples(self.case.name, tuple(self.seconds), tuple(self.warmup), steady, done, self.fault)


def measure(
    cases: Sequence[Case],
    *,
    min_rounds: int = 30,
    min_seconds: float = 1.0,
    max_warmup: int = 40,
    max_warmup_seconds: float = 2.0,
    cooldown: float = 0.0,
    after_round: Callable[[Mapping[str, Samples]], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Samples]:
    """Warm all cases up until they are steady, then time them in turn.

    Args:
        cases: In the order in which each round runs them; names are unique.
        min_rounds: Rounds to run at least.
        min_seconds: Seconds to go on for at least, for each case.
        max_warmup: Rounds of warm-up at most.
        max_warmup_seconds: Seconds of warm-up at most, for each case.
        cooldown: Seconds to rest before each round.
        after_round: Told of all that was measured so far, after each round; what it raises ends the measurement.
        clock: Tells the seconds that have passed.
        sleep: Rests for some seconds.

    Returns:
        By name, in the order of the cases. A KeyboardInterrupt ends the measurement, and what was measured until then
        is returned as not complete.
    """
    tracks = [_Track(case) for case in cases]
    steady, complete = False, False
    try:
        steady = _warm_up(tracks, max_warmup, max_warmup_seconds * len(cases), clock)
        rested, rounds, start = 0.0, 0, clock()
        while rounds < min_rounds or clock() - start - rested < min_seconds * len(cases):
            if cooldown:
                before = clock()
                sleep(cooldown)
                rested += clock() - before
            if not _round(tracks, warm_up=False):
                break
            rounds += 1
            if after_round:
                after_round(_collect(tracks, complete=False, steady=steady))
        complete = True
    except KeyboardInterrupt:
        pass
    return _collect(tracks, complete=complete, steady=steady)


def is_steady(times: Sequence[float]) -> bool:
    """Whether times have settled.

    Args:
        times: Seconds, in the order in which they were taken.

    Returns:
        True when the medians of the last five and of the five before differ by less than 3 %, or by less than the
        scatter (the median absolute deviation) within both.
    """
    if len(times) < 2 * _WINDOW:
        return False
    before, last = np.array(times[-2 * _WINDOW : -_WINDOW]), np.array(times[-_WINDOW:])
    medians = float(np.median(before)), float(np.median(last))
    scatter = max(
        float(np.median(np.abs(window - median))) for window, median in zip((before, last), medians, strict=True)
    )
    return abs(medians[0] - medians[1]) < max(_DRIFT * medians[0], scatter)


def _warm_up(tracks: Sequence[_Track], rounds: int, seconds: float, clock: Callable[[], float]) -> bool:
    """Run rounds until every case is steady.

    Returns:
        Whether all are.
    """
    start = clock()
    for _ in range(rounds):
        if not _round(tracks, warm_up=True):
            return True
        if all(track.fault or is_steady(track.warmup) for track in tracks):
            return True
        if clock() - start >= seconds:
            break
    return False


def _round(tracks: Sequence[_Track], *, warm_up: bool) -> bool:
    """Run each case that still can once.

    Returns:
        Whether there was any.
    """
    able = [track for track in tracks if not track.fault]
    for track in able:
        track.run(track.warmup if warm_up else track.seconds)
    return bool(able)


def _collect(tracks: Sequence[_Track], *, complete: bool, steady: bool) -> dict[str, Samples]:
    return {
        track.case.name: track.samples(steady=steady or is_steady(track.warmup), complete=complete) for track in tracks
    }
