"""How sure the differences between trained networks are: intervals over seeds, paired tests, resampled vendors.

Two kinds of chance are kept apart. *Seeds*: the same recipe trained again gives another accuracy; networks of one seed
share the order of the images and the first value of every shared parameter, so that their difference is taken seed by
seed. *Vendors*: another test set would hold drawings of other vendors; those of one vendor are not independent, so that
whole vendors are resampled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

CONFIDENCE = 0.95
RESAMPLES = 4000
ONE_SEED = "one seed: no interval"
NO_SCATTER = "no scatter: no interval"
_SEED = 0
_CHUNK = 1 << 22
# Bisection halves the bracket: far below what a float64 can tell apart.
_HALVINGS = 200


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: The mean.
        low: Lower end of the interval that holds the true mean at 95 %; None where there is no interval.
        high: Upper end.
        n: How many seeds.
        why: Why there is no interval; empty where there is one.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    why: str = ""


@dataclass(frozen=True)
class Difference(Estimate):
    """The mean difference of two variants, seed by seed.

    Attributes:
        p: Two-sided p-value of the paired t-test that the true difference is 0; None where there is no test.
    """

    p: float | None = None

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of 0, else 0."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > 0) - int(self.high < 0)


def mean_interval(values: Sequence[float]) -> Estimate:
    """Mean and t interval.

    Args:
        values: One per seed, at least one.

    Returns:
        The mean; with an interval from two seeds on, unless they are all equal: a variance of 0 that was estimated from
        a handful of trainings is not known to be 0.
    """
    mean, half, why = _half_width(values)
    if half is None:
        return Estimate(mean, None, None, len(values), why)
    return Estimate(mean, mean - half, mean + half, len(values))


def paired_difference(values: Sequence[float], base: Sequence[float]) -> Difference:
    """Compare two variants that were trained with the same seeds: Student's paired t-test.

    Args:
        values: One per seed.
        base: Those of the other variant, for the same seeds in the same order.

    Returns:
        Mean of `values - base`, its interval and the p-value.

    Raises:
        ValueError: The two are not of equal length.
    """
    differences = [a - b for a, b in zip(values, base, strict=True)]
    mean, half, why = _half_width(differences)
    if half is None:
        return Difference(mean, None, None, len(differences), why)
    degrees = len(differences) - 1
    t = mean / half * t_quantile(CONFIDENCE, degrees)
    return Difference(mean, mean - half, mean + half, len(differences), p=2 * (1 - t_cdf(abs(t), degrees)))


def resampled_difference(
    differences: npt.NDArray[np.float64], clusters: npt.NDArray[np.int64], resamples: int = RESAMPLES
) -> tuple[float, float] | None:
    """Interval of a mean over images, by the percentile bootstrap over clusters of images.

    After Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8.

    Args:
        differences: float64 `(N,)`, one per image, such as correct minus correct of another network.
        clusters: int64 `(N,)`: images of the same number are drawn together.
        resamples: How often to draw.

    Returns:
        Lower and upper end of the 95 % interval, the same for the same numbers; None for fewer than two clusters.
    """
    _, place = np.unique(clusters, return_inverse=True)
    sums = np.bincount(place, differences)
    sizes = np.bincount(place).astype(np.float64)
    if len(sums) < 2:  # noqa: PLR2004
        return None
    generator = np.random.default_rng(_SEED)
    means = np.empty(resamples)
    step = max(1, _CHUNK // len(sums))
    for start in range(0, resamples, step):
        drawn = generator.integers(0, len(sums), (min(step, resamples - start), len(sums)))
        means[start : start + step] = sums[drawn].sum(1) / sizes[drawn].sum(1)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, (tail, 100 - tail))
    return float(low), float(high)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values of tests that are made together.

    After Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979).

    Args:
        p_values: By name of the test.

    Returns:
        The adjusted ones: rejecting where they are below 0.05 keeps the chance of any false rejection below 0.05.
    """
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return adjusted


def t_cdf(t: float, degrees: int) -> float:
    """Student's t distribution: the probability of at most `t`.

    By the finite series for whole degrees of freedom (Abramowitz and Stegun, "Handbook of Mathematical Functions",
    26.7.3 and 26.7.4).

    Args:
        t: Any number.
        degrees: Degrees of freedom, at least 1.
    """
    angle = math.atan2(t, math.sqrt(degrees))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= square * k / (k + 1)
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return 0.5 + within / 2


def t_quantile(confidence: float, degrees: int) -> float:
    """Half width, in standard errors, of the two-sided t interval.

    Args:
        confidence: Of the interval, between 0 and 1.
        degrees: Degrees of freedom, at least 1.
    """
    target = 0.5 + confidence / 2
    low, high = 0.0, 1.0
    while t_cdf(high, degrees) < target:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, degrees) < target else (low, middle)
    return high


def _half_width(values: Sequence[float]) -> tuple[float, float | None, str]:
    """Mean, half width of the interval or None, and why there is none."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, None, ONE_SEED
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    # Equal values leave a rounding error.
    if math.sqrt(variance) <= 1e-12 * max(1.0, abs(mean)):
        return mean, None, NO_SCATTER
    return mean, t_quantile(CONFIDENCE, len(values) - 1) * math.sqrt(variance / len(values)), ""
