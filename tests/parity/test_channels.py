"""Errors of single channels: which axes are looked at, and the figure against its formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwca_export.parity.channels import FLOOR, channel_axes, worst_channel


def seeded(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "samples", "axes"),
    [
        ((1, 64, 28, 28), 1, (1, 3)),
        ((1, 28, 28, 6), 1, (1, 3)),
        ((1, 84, 8400), 1, (1,)),
        ((1, 8400, 84), 1, (2,)),
        ((1, 84, 21), 1, (1, 2)),
        ((1, 21, 84), 1, (1, 2)),
        ((1, 4, 8400), 16, (1,)),
        ((1, 1, 8, 8), 2, (3,)),
        ((1, 4, 3, 2, 5, 6), 1, (1, 5)),
        # Too few numbers for a norm, unless there are more samples.
        ((1, 60, 3, 2), 1, (3,)),
        ((1, 60, 3, 2), 3, (1, 3)),
        # Vectors: one number for each, however many samples there are.
        ((1, 1000), 99, ()),
        ((1, 1000, 1, 1), 99, ()),
        ((1, 1, 1000), 99, ()),
        ((1, 1, 1, 9), 99, ()),
        ((1,), 99, ()),
    ],
)
def test_axes_that_count_channels(shape, samples, axes):
    assert channel_axes(shape, samples) == axes


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.integers(1, 20))
def test_only_axes_of_several_slices_of_several_numbers(sizes, samples):
    shape = (1, *sizes)
    for axis in channel_axes(shape, samples):
        assert shape[axis] > 1
        assert np.prod(shape) // shape[axis] > 1
        assert axis in (1, len(shape) - 1)


def naive(reference, candidate, axis):
    """The largest relative error of a channel, by its definition."""
    norms = [
        [np.linalg.norm(array.take(index, axis).astype(np.float64)) for array in reference]
        for index in range(reference[0].shape[axis])
    ]
    sizes = [np.sqrt(np.mean(np.square(row))) for row in norms]
    errors = [
        max(
            np.linalg.norm(a.take(index, axis).astype(np.float64) - b.take(index, axis))
            for a, b in zip(reference, candidate, strict=True)
        )
        for index in range(len(sizes))
    ]
    ratios = [error / max(size, FLOOR * max(sizes)) for error, size in zip(errors, sizes, strict=True)]
    return int(np.argmax(ratios)), max(ratios)


@pytest.mark.parametrize("shape", [(1, 5, 6, 7), (1, 9, 40), (1, 40, 9), (1, 3, 4, 5, 6)])
@pytest.mark.parametrize("samples", [1, 3])
def test_the_formula(shape, samples):
    reference = [seeded(*shape, seed=seed) for seed in range(samples)]
    candidate = [array + 0.01 * seeded(*shape, seed=9 + seed) for seed, array in enumerate(reference)]
    for array in reference:
        array[0, 1] *= 1e-5  # below the floor
    worst = worst_channel(reference, candidate)
    expected = {axis: naive(reference, candidate, axis) for axis in channel_axes(shape, samples)}
    assert worst.axis == max(expected, key=lambda axis: expected[axis][1])
    assert (worst.index, worst.relative_l2) == pytest.approx(expected[worst.axis], rel=1e-9)


def test_each_channel_has_its_own_scale():
    scales = np.array([1, 100, 1e4, 0.1]).reshape(1, 4, 1)
    reference = [seeded(1, 4, 32, seed=seed) for seed in range(2)]
    candidate = [array * np.float32(1.01) for array in reference]
    plain = worst_channel(reference, candidate)
    scaled = worst_channel([array * scales for array in reference], [array * scales for array in candidate])
    # The smallest is below the floor, so it cannot be the worst.
    assert scaled.relative_l2 == pytest.approx(plain.relative_l2, rel=0.5)


def test_it_names_the_channel():
    reference = seeded(1, 8, 5, 5)
    wrong = reference.copy()
    wrong[0, 6] += 1
    assert str(worst_channel([reference], [wrong])) == "channel 6 of axis 1"


def test_zeros():
    zeros, more = np.zeros((1, 4, 16), np.float32), np.full((1, 4, 16), 1e-20, np.float32)
    assert worst_channel([zeros], [zeros]).relative_l2 == 0
    assert worst_channel([zeros], [more]).relative_l2 == np.inf
    assert worst_channel([more], [zeros]).relative_l2 == pytest.approx(1)


def test_what_cannot_be_measured_is_the_worst():
    reference, broken = seeded(1, 4, 20), seeded(1, 4, 20)
    broken[0, 2, 3] = np.nan
    worst = worst_channel([reference], [broken])
    assert np.isnan(worst.relative_l2)


def test_vectors_have_none():
    assert worst_channel([seeded(1, 10)] * 20, [seeded(1, 10, seed=1)] * 20) is None
