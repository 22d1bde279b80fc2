from __future__ import annotations

import pytest
import torch
from torch import nn

from dwca_export.errors import InputRefusedError
from dwca_export.loading.numbers import check_numbers, to_float32


def check(network: nn.Module) -> None:
    check_numbers(network.named_parameters(), network.named_buffers())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["0.weight", "1.running_var"])
def test_a_weight_that_is_not_finite_is_named(name: str, value: float) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    network.state_dict()[name].view(-1)[1] = value
    with pytest.raises(InputRefusedError, match=f"{name} is .* in 1 of 2 values"):
        check(network)


def test_an_infinite_mask_is_left_alone_but_nan_is_not() -> None:
    network = nn.Module()
    network.register_buffer("mask", torch.full((2, 2), -float("inf")).triu(1))
    check(network)
    network.mask[0, 0] = float("nan")
    with pytest.raises(InputRefusedError, match="mask is NaN"):
        check(network)


def test_integers_and_half_precision_are_checked() -> None:
    network = nn.BatchNorm2d(2).half()
    check(network)
    network.weight.data[0] = 70000.0  # beyond float16
    with pytest.raises(InputRefusedError, match="infinite"):
        check(network)


@pytest.mark.parametrize("network", [nn.Linear(2, 2, device="meta"), nn.LazyLinear(2)])
def test_weights_without_values_are_refused(network: nn.Module) -> None:
    with pytest.raises(InputRefusedError, match="no values"):
        check(network)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_become_float32_with_a_note(dtype: torch.dtype) -> None:
    network = nn.Linear(2, 2).to(dtype)
    name = str(dtype).removeprefix("torch.")
    assert to_float32(network) == [f"{name} weights converted to float32"]
    assert network.weight.dtype == torch.float32


def test_float32_is_left_alone() -> None:
    assert to_float32(nn.BatchNorm2d(2)) == []
