from __future__ import annotations

import numpy as np
import pytest

from dwca_export.parity.measure import measure
from dwca_export.parity.tolerances import TOLERANCES
from dwca_export.runners.ncnn import MODES


def seeded(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("tolerance", TOLERANCES.values(), ids=TOLERANCES)
def test_every_number_has_its_reason(tolerance):
    assert tolerance.reason
    assert 0 < tolerance.relative_l2 <= tolerance.relative_max < 1
    assert tolerance.relative_l2 < tolerance.channel_l2 < 1
    assert tolerance.contrast > 1
    assert tolerance.layer_l2 < tolerance.relative_l2
    assert tolerance.layer_l2 < tolerance.layer_channel_l2 < tolerance.channel_l2


def test_every_mode_has_a_tolerance():
    assert set(MODES) <= set(TOLERANCES)


@pytest.mark.parametrize("figure", ["relative_l2", "relative_max", "channel_l2", "layer_l2", "layer_channel_l2"])
def test_fewer_bits_have_the_wider_tolerance(figure):
    """Each of these rounds what the one before it rounds, and more, or to fewer bits."""
    for names in (("fp32", "fp16-weights", "fp16-storage", "fp16-arithmetic"), ("fp16-storage", "bf16-storage")):
        numbers = [getattr(TOLERANCES[name], figure) for name in names]
        assert numbers == sorted(numbers)


def deep(weights, x):
    for weight in weights:
        x = np.maximum(x @ weight, 0, dtype=x.dtype)
    return x


@pytest.fixture
def weights():
    """Fifty layers of 256 products, scaled so that the signal keeps its size."""
    return [seeded(256, 256, seed=seed) * np.float32((2 / 256) ** 0.5) for seed in range(50)]


def test_rounding_stays_within(weights):
    """The size of errors that the reasons speak of: sums in float32, weights in fp16."""
    x = seeded(1, 256, seed=99)
    exact = deep([weight.astype(np.float64) for weight in weights], x.astype(np.float64))
    rounded = deep(weights, x)
    half = deep([weight.astype(np.float16).astype(np.float64) for weight in weights], x.astype(np.float64))
    for candidate, name in ((rounded, "fp32"), (half, "fp16-weights")):
        measurement = measure("y", [exact], [candidate])
        assert measurement.relative_l2 < TOLERANCES[name].relative_l2
        assert measurement.relative_max < TOLERANCES[name].relative_max
    # And the narrow one tells them apart.
    assert measure("y", [exact], [half]).relative_l2 > TOLERANCES["fp32"].relative_l2


def test_a_mean_over_the_wrong_count_does_not():
    """The fault that the tolerances are there for: a strip mean over 56 rows where there are 57."""
    x = seeded(1, 8, 57, 57)
    right, wrong = x.mean(axis=2), x[:, :, :56].mean(axis=2)
    assert measure("y", [right], [wrong]).relative_l2 > 10 * TOLERANCES["fp32"].relative_l2
