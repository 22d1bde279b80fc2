from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwca_export.bench.statistics import independent_ratio, outliers, paired_ratio, summarise

TIMES = st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=50)


def noisy(seed, median=1.0, count=100, scatter=0.05):
    """Times as they are: a floor, and a long tail upwards."""
    return median * (1 + scatter * np.random.default_rng(seed).exponential(size=count))


def test_figures_of_known_samples():
    figures = summarise([float(n) for n in range(1, 102)])
    assert (figures.p50, figures.p90, figures.p99) == (51.0, 91.0, 100.0)
    assert (figures.min, figures.mad) == (1.0, 25.0)
    assert figures.outliers == ()


@given(TIMES)
def test_figures_are_in_order(times):
    figures = summarise(times)
    assert figures.min <= figures.p50 <= figures.p90 <= figures.p99 <= max(times)
    assert 0 <= figures.mad <= max(times) - figures.min


def test_outliers_are_named():
    times = noisy(0)
    times[[7, 40]] = 5.0
    assert outliers(times) == (7, 40)


@pytest.mark.parametrize(
    "times", [[1.0], [1.0] * 50, [1.0] * 50 + [1.0001], noisy(1, count=20), noisy(2, scatter=0.5, count=20)]
)
def test_ordinary_samples_have_no_outliers(times):
    assert outliers(times) == ()


def test_drift_cancels_in_the_ratio_of_rounds():
    drift = np.linspace(1, 3, 60)
    ratio = paired_ratio(1.2 * drift * noisy(3, count=60, scatter=0.01), drift * noisy(4, count=60, scatter=0.01))
    assert ratio.low <= ratio.value <= ratio.high
    assert ratio.value == pytest.approx(1.2, rel=0.01)
    assert ratio.high - ratio.low < 0.02
    assert ratio.differs


def test_the_ratio_of_unequal_rounds_takes_the_common_ones():
    assert paired_ratio([2.0] * 10, [1.0] * 9).value == 2.0


def test_the_same_samples_give_the_same_interval():
    pair = noisy(5), noisy(6)
    assert paired_ratio(*pair) == paired_ratio(*pair)
    assert independent_ratio(*pair) == independent_ratio(*pair)


@pytest.mark.parametrize("ratio", [paired_ratio, independent_ratio])
def test_intervals_hold_the_truth_about_as_often_as_they_say(ratio):
    holds = [
        found.low <= 1.0 <= found.high
        for seed in range(100)
        for found in [ratio(noisy(2 * seed, count=40), noisy(2 * seed + 1, count=40))]
    ]
    assert 85 <= sum(holds) <= 100


@pytest.mark.parametrize("ratio", [paired_ratio, independent_ratio])
def test_a_slower_case_is_seen(ratio):
    found = ratio(noisy(7, median=1.08), noisy(8))
    assert found.differs
    assert found.low > 1


@pytest.mark.parametrize("ratio", [paired_ratio, independent_ratio])
def test_of_few_samples_no_interval_is_known(ratio):
    found = ratio([2.0] * 4, [1.0] * 4)
    assert (found.value, found.low, found.high) == (2.0, 0.0, math.inf)
    assert not found.differs


@given(TIMES, TIMES)
def test_the_interval_holds_the_ratio(new, old):
    found = independent_ratio(new, old)
    assert found.low <= found.value <= found.high
