"""The figures of parity against their formulas, written out in float64, and their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dwca_export.parity.measure import measure

# Wide enough for what networks return; squares of smaller numbers vanish from the formulas.
values = st.floats(-1e6, 1e6, width=32).filter(lambda value: value == 0 or abs(value) > 1e-6)
pairs = st.integers(1, 40).flatmap(lambda size: st.tuples(*[arrays.arrays(np.float32, (1, size), elements=values)] * 2))


def naive(a, b):
    """max_abs, relative_max, relative_l2, cosine, sqnr_db by their definitions, one number at a time."""
    a, b = ([float(value) for value in array.ravel()] for array in (a, b))
    errors = [abs(p - q) for p, q in zip(a, b, strict=True)]
    noise, signal, other = (math.sqrt(math.fsum(value**2 for value in row)) for row in (errors, a, b))
    return (
        max(errors),
        max(errors) / max(map(abs, a)),
        noise / signal,
        math.fsum(p * q for p, q in zip(a, b, strict=True)) / (signal * other),
        20 * math.log10(signal / noise),
    )


def figures(measurement):
    return (
        measurement.max_abs,
        measurement.relative_max,
        measurement.relative_l2,
        measurement.cosine,
        measurement.sqnr_db,
    )


def one(a, b):
    return measure("y", [np.asarray(a, np.float32)], [np.asarray(b, np.float32)])


def seeded(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@given(pairs)
def test_the_formulas(pair):
    a, b = pair
    assume(a.any() and b.any() and (a != b).any())
    measurement = one(a, b)
    assert measurement.fault == ""
    np.testing.assert_allclose(figures(measurement), naive(a, b), rtol=1e-9, atol=1e-12)


@given(pairs)
def test_equal_tensors(pair):
    a, _ = pair
    measurement = one(a, a)
    assert (measurement.max_abs, measurement.relative_max, measurement.relative_l2) == (0, 0, 0)
    assert measurement.sqnr_db == math.inf
    assert measurement.cosine == pytest.approx(1)


@given(pairs, st.sampled_from([2.0**-20, 0.25, 2.0, 2.0**10]))
def test_a_common_factor_changes_no_ratio(pair, factor):
    a, b = pair
    before, after = one(a, b), one(a * np.float32(factor), b * np.float32(factor))
    assert after.relative_l2 == pytest.approx(before.relative_l2)
    assert after.relative_max == pytest.approx(before.relative_max)
    assert after.sqnr_db == pytest.approx(before.sqnr_db)
    assert after.cosine == pytest.approx(before.cosine)
    assert after.max_abs == pytest.approx(before.max_abs * factor)


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_elements_does_not_matter(pair, random):
    a, b = pair
    order = random.sample(range(a.size), a.size)
    before, after = one(a, b), one(a[:, order], b[:, order])
    assert figures(after) == pytest.approx(figures(before), rel=1e-9)


@given(pairs)
def test_the_shape_does_not_matter_but_for_top1(pair):
    a, b = pair
    assert figures(one(a.T, b.T)) == figures(one(a, b))


@given(pairs)
def test_bounds(pair):
    measurement = one(*pair)
    assert -1 <= measurement.cosine <= 1
    assert measurement.relative_max <= measurement.relative_l2 * math.sqrt(pair[0].size) * (1 + 1e-9)


def test_float32_is_not_where_it_is_computed():
    """In float32 the norm of these is infinite, and the small difference is lost."""
    a = np.full((1, 4), 3e38, np.float32)
    b = np.nextafter(a, np.float32(0))
    measurement = one(a, b)
    assert measurement.relative_l2 == pytest.approx(abs(float(a[0, 0]) - float(b[0, 0])) / float(a[0, 0]))
    assert measurement.sqnr_db < 200


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([[0, 0]], [[0, 0]], (0, 0, 0, 1, math.inf)),
        ([[0, 0]], [[0, 1]], (1, math.inf, math.inf, 0, -math.inf)),
        ([[0, 1]], [[0, 0]], (1, 1, 1, 0, 0)),
        ([[1, 1]], [[-1, -1]], (2, 2, 2, -1, -20 * math.log10(2))),
        ([[3, 4]], [[3, 4.5]], (0.5, 0.125, 0.1, 27 / (5 * math.sqrt(29.25)), 20)),
    ],
)
def test_zero_and_plain_numbers(a, b, expected):
    assert figures(one(a, b)) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_what_is_not_finite_is_a_fault(bad, side):
    good = seeded(1, 5)
    broken = good.copy()
    broken[0, 3] = bad
    pair = (broken, good) if side == "reference" else (good, broken)
    measurement = measure("y", [good, pair[0]], [good, pair[1]])
    assert measurement.fault == f"sample 1: 1 of 5 values of the {side} are NaN or infinite"
    assert all(math.isnan(figure) for figure in figures(measurement))


@pytest.mark.parametrize("shape", [(1, 6), (5,), (1, 5, 1), (1, 1), (5, 1)])
def test_another_shape_is_a_fault(shape):
    measurement = measure("y", [seeded(1, 5)], [seeded(*shape)])
    assert measurement.fault == f"sample 0: shape {list(shape)} instead of [1, 5]"


def test_nothing_to_measure_is_a_fault():
    assert "nothing in it" in measure("y", [seeded(1, 0)], [seeded(1, 0)]).fault
    assert measure("y", [], []).fault == "no sample"
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        measure("y", [seeded(1, 5)] * 2, [seeded(1, 5)])


def test_each_figure_is_the_worst_samples():
    a = [seeded(1, 8, seed=seed) for seed in range(3)]
    b = [a[0], a[1] * 1.5, a[2] + 0.25]
    worst = [max(figure) for figure in zip(*map(naive, a[1:], b[1:]), strict=True)]
    best = [min(figure) for figure in zip(*map(naive, a[1:], b[1:]), strict=True)]
    measurement = measure("y", a, b)
    assert figures(measurement) == pytest.approx((*worst[:3], *best[3:]), rel=1e-6)
    assert (measurement.output, measurement.shape, measurement.samples) == ("y", (1, 8), 3)


def test_top1_is_the_share_of_equal_choices():
    scores = [np.array([[0, 1, 2]], np.float32), np.array([[2, 1, 0]], np.float32)]
    assert measure("y", scores, scores).top1 == 1
    assert measure("y", scores, scores[::-1]).top1 == 0
    assert measure("y", scores, [scores[0]] * 2).top1 == 0.5
    for shape in ((1, 1), (1, 3, 2), (1, 3, 4, 4)):
        assert measure("y", [seeded(*shape)], [seeded(*shape)]).top1 is None
