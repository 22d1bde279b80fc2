"""The numbers of the training recipe."""

from __future__ import annotations

import pytest

from dwca_export.errors import UsageError
from models.recipe import Recipe, lr_factor


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch", 0),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("warmup_epochs", 5),
        ("momentum", 0.0),
        ("momentum", 1.0),
        ("weight_decay", -1e-4),
        ("label_smoothing", 1.0),
        ("shift", -1),
        ("mirror", "rows"),
    ],
)
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(UsageError, match=f"{name}={value} cannot be"):
        Recipe(**{"epochs": 5, name: value})


def test_learning_rate_rises_and_then_falls_to_zero():
    factors = [lr_factor(step, 100, 10) for step in range(101)]
    assert factors[:10] == sorted(factors[:10])
    assert max(factors) == factors[10] == 1
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[99] > factors[100] == pytest.approx(0)
    assert lr_factor(0, 100, 0) == 1
