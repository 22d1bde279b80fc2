"""Figures of repeated measurements: percentiles, scatter, outliers, and ratios with their uncertainty.

Times have a long tail upwards and none downwards: medians and the median absolute deviation (MAD) describe them, means
and standard deviations do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

CONFIDENCE = 0.95
_RESAMPLES = 2000
# Of fewer samples the bootstrap's interval is far too narrow.
_FEWEST = 5
_SEED = 0
# Resampled numbers that are in memory at once.
_CHUNK = 1 << 20

# The modified z-score of Iglewicz and Hoaglin ("How to Detect and Handle Outliers", 1993): 0.6745 makes the MAD that of
# a normal distribution. They flag from 3.5 on; the tail of latencies is longer, and only what is far out matters.
_NORMAL = 0.6745
_FAR_OUT = 10.0


@dataclass(frozen=True)
class Summary:
    """Figures of one case, in seconds.

    Attributes:
        p50: Median.
        p90: What 90 % of the samples do not exceed.
        p99: What 99 % do not exceed; of fewer than 100 samples it is one of the largest.
        min: The smallest.
        mad: Median absolute deviation from the median.
        outliers: Positions of the samples that are far from the median.
    """

    p50: float
    p90: float
    p99: float
    min: float
    mad: float
    outliers: tuple[int, ...]


@dataclass(frozen=True)
class Ratio:
    """How many times as long one case takes as another, with the interval that holds the true value at 95 %.

    Attributes:
        value: The ratio.
        low: Lower end of the interval; 0 where there are too few samples for one.
        high: Upper end; infinite where there are too few samples.
    """

    value: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether chance alone hardly explains that the ratio is not 1."""
        return self.low > 1 or self.high < 1


def summarise(seconds: Sequence[float]) -> Summary:
    """Describe the samples of one case.

    Args:
        seconds: At least one.
    """
    times = np.asarray(seconds, dtype=np.float64)
    p50, p90, p99 = map(float, np.percentile(times, (50, 90, 99)))
    mad = float(np.median(np.abs(times - p50)))
    return Summary(p50, p90, p99, float(times.min()), mad, outliers(times))


def outliers(seconds: Sequence[float] | NDArray[np.float64]) -> tuple[int, ...]:
    """Positions of the samples that are far from the median: modified z-score above 10."""
    times = np.asarray(seconds, dtype=np.float64)
    distance = np.abs(times - np.median(times))
    # Where more than half are equal to the clock's last digit, the MAD is 0 and would make outliers of all others.
    mad = max(float(np.median(distance)), 0.001 * float(np.median(times)))
    return tuple(int(index) for index in np.flatnonzero(_NORMAL * distance > _FAR_OUT * mad))


def paired_ratio(seconds: Sequence[float], base: Sequence[float]) -> Ratio:
    """Compare two cases that were measured in the same rounds: the median of the rounds' ratios.

    Within a round both saw the same machine, so that drift cancels.

    Args:
        seconds: One time per round.
        base: The same of the other case; where an interrupt left one with more rounds, the common ones count.
    """
    rounds = min(len(seconds), len(base))
    ratios = np.asarray(seconds[:rounds], dtype=np.float64) / np.asarray(base[:rounds], dtype=np.float64)
    return _interval(float(np.median(ratios)), _medians(ratios), rounds)


def independent_ratio(seconds: Sequence[float], base: Sequence[float]) -> Ratio:
    """Compare two cases that were measured at different times: the ratio of their medians.

    Args:
        seconds: Times of one.
        base: Times of the other.
    """
    new, old = (np.asarray(one, dtype=np.float64) for one in (seconds, base))
    value = float(np.median(new) / np.median(old))
    return _interval(value, _medians(new) / _medians(old, seed=_SEED + 1), min(len(new), len(old)))


def _interval(value: float, resampled: NDArray[np.float64], samples: int) -> Ratio:
    """The percentile bootstrap of Efron (1979)."""
    if samples < _FEWEST:
        return Ratio(value, 0.0, math.inf)
    tail = 50 * (1 - CONFIDENCE)
    low, high = map(float, np.percentile(resampled, (tail, 100 - tail)))
    return Ratio(value, min(low, value), max(high, value))


def _medians(values: NDArray[np.float64], seed: int = _SEED) -> NDArray[np.float64]:
    """Medians of samples drawn from the values, with replacement and as many; always the same for the same values."""
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(values))
    return np.concatenate(
        [
            np.median(values[generator.integers(0, len(values), (count, len(values)))], axis=1)
            for count in _chunks(_RESAMPLES, rows)
        ]
    )


def _chunks(total: int, size: int) -> Iterator[int]:
    for start in range(0, total, size):
        yield min(size, total - start)
