from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.experiment.statistics import (
    NO_SCATTER,
    ONE_SEED,
    holm,
    mean_interval,
    paired_difference,
    resampled_difference,
    t_cdf,
    t_quantile,
)

# Two-sided 95 % and 99 % quantiles, from the tables that every textbook has.
TABLE = {1: (12.706, 63.657), 2: (4.303, 9.925), 3: (3.182, 5.841), 4: (2.776, 4.604), 5: (2.571, 4.032)}
TABLE |= {9: (2.262, 3.250), 10: (2.228, 3.169), 30: (2.042, 2.750), 120: (1.980, 2.617)}

numbers = st.floats(-100, 100).map(lambda x: round(x, 3))
seeds = st.lists(numbers, min_size=2, max_size=8)


@pytest.mark.parametrize(("degrees", "expected"), TABLE.items())
def test_t_quantiles_are_those_of_the_table(degrees, expected):
    assert (t_quantile(0.95, degrees), t_quantile(0.99, degrees)) == pytest.approx(expected, abs=6e-4)


@given(st.floats(-50, 50), st.integers(1, 40))
def test_the_t_distribution_is_symmetric_and_between_0_and_1(t, degrees):
    assert t_cdf(t, degrees) + t_cdf(-t, degrees) == pytest.approx(1)
    assert -1e-12 <= t_cdf(t, degrees) <= 1 + 1e-12
    assert t_cdf(t + 0.5, degrees) >= t_cdf(t, degrees) - 1e-12


def test_an_interval_by_hand():
    # Mean 3, variance 2.5, standard error sqrt(0.5), times 2.7764.
    found = mean_interval([1, 2, 3, 4, 5])
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((3, 3 - 1.9632, 3 + 1.9632, 5), abs=1e-3)


def test_one_seed_has_no_interval_and_no_test():
    assert (mean_interval([0.9]).low, mean_interval([0.9]).why) == (None, ONE_SEED)
    found = paired_difference([0.9], [0.8])
    assert (found.low, found.p, found.sign, found.why) == (None, None, 0, ONE_SEED)


def test_seeds_that_agree_to_the_last_digit_prove_nothing():
    found = paired_difference([0.5, 0.7], [0.4, 0.6])
    assert found.mean == pytest.approx(0.1)
    assert (found.p, found.sign, found.why) == (None, 0, NO_SCATTER)


def test_a_paired_test_by_hand():
    # Differences 1, 2, 3: mean 2, standard error 1/sqrt(3), t = 3.4641 at 2 degrees: p = 1 - t / sqrt(2 + t**2).
    found = paired_difference([11, 22, 33], [10, 20, 30])
    assert found.p == pytest.approx(1 - math.sqrt(12) / math.sqrt(14))
    assert found.sign == 0
    assert paired_difference([11, 12, 11.5], [10, 11.1, 10.6]).sign == 1
    assert paired_difference([10, 11.1, 10.6], [11, 12, 11.5]).sign == -1


def test_seeds_of_different_number_are_not_paired():
    with pytest.raises(ValueError, match="zip"):
        paired_difference([1.0, 2.0], [1.0])


@given(seeds, numbers)
def test_a_difference_does_not_depend_on_what_both_have_in_common(values, shift):
    base = [float(i % 3) for i in range(len(values))]
    one = paired_difference(values, base)
    other = paired_difference([v + shift for v in values], [b + shift for b in base])
    assert one.mean == pytest.approx(other.mean, abs=1e-9)
    if one.p is not None and other.p is not None:
        assert one.p == pytest.approx(other.p, abs=1e-6)
        assert (one.p < 0.05) == (one.sign != 0) or one.p == pytest.approx(0.05)


def test_images_of_one_drawing_are_not_counted_as_many():
    generator = np.random.default_rng(1)
    per_icon = generator.choice([-1.0, 0.0, 1.0], 40)
    alone = resampled_difference(per_icon, np.arange(40))
    repeated = resampled_difference(np.repeat(per_icon, 50), np.repeat(np.arange(40), 50))
    assert repeated == pytest.approx(alone)
    naive = resampled_difference(np.repeat(per_icon, 50), np.arange(2000))
    assert naive[1] - naive[0] < 0.3 * (alone[1] - alone[0])
    assert resampled_difference(per_icon, np.zeros(40, np.int64)) is None


def test_the_resampled_interval_has_the_width_of_the_normal_one():
    values = np.random.default_rng(0).normal(0.3, 1, 2000)
    low, high = resampled_difference(values, np.arange(2000))
    half = 1.96 * values.std() / math.sqrt(2000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.5, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@given(st.dictionaries(st.text("abcdef", min_size=1), st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_lowers_nothing(p_values):
    adjusted = holm(p_values)
    assert all(p_values[name] <= adjusted[name] <= 1 for name in p_values)
    ranked = sorted(p_values, key=lambda name: p_values[name])
    assert [adjusted[name] for name in ranked] == sorted(adjusted.values())
