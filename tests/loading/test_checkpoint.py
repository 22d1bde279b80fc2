from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from dwca_export.errors import InputRefusedError
from dwca_export.loading.checkpoint import find_network

RAW = {"w": torch.zeros(1)}
EMA = {"w": torch.ones(1)}
MODULE = nn.Linear(1, 1)


def test_a_bare_state_dict_and_a_bare_module_are_found() -> None:
    assert find_network(RAW).network is RAW
    assert find_network(MODULE).network is MODULE


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "net"])
def test_the_usual_keys_are_found(key: str) -> None:
    found = find_network({"epoch": 3, key: RAW, "optimizer": {"state": {}}})
    assert found.network is RAW
    assert set(found.extras) == {"epoch", "optimizer"}
    assert not found.notes


@pytest.mark.parametrize("key", ["ema", "model_ema", "ema_state_dict", "state_dict_ema"])
def test_averaged_weights_are_preferred_with_a_note(key: str) -> None:
    found = find_network({"model": RAW, key: EMA})
    assert found.network is EMA
    assert len(found.notes) == 1
    assert key in found.notes[0]
    assert "'model'" in found.notes[0]


@pytest.mark.parametrize("nested", [{"module": EMA, "updates": 7}, {"state_dict": EMA}])
def test_averaged_weights_are_found_one_level_down(nested: dict[str, Any]) -> None:
    assert find_network({"model": RAW, "ema": nested}).network is EMA


def test_an_empty_place_for_averaged_weights_does_not_matter() -> None:
    found = find_network({"model": MODULE, "ema": None})
    assert found.network is MODULE
    assert not found.notes


def test_averaged_weights_in_an_unknown_form_are_not_passed_over_silently() -> None:
    found = find_network({"model": RAW, "ema": {"shadow_params": [torch.ones(1)]}})
    assert found.network is RAW
    assert "'ema' holds no weights in a known form" in found.notes[0]


def test_a_module_under_a_key_is_found() -> None:
    assert find_network({"ema": MODULE, "model": None}).network is MODULE


def test_tensors_beside_the_state_dict_do_not_hide_it() -> None:
    assert find_network({"state_dict": RAW, "mean": torch.zeros(3)}).network is RAW


def test_a_configuration_under_a_usual_key_is_not_taken_for_weights() -> None:
    assert find_network({"model": {"name": "net"}, "state_dict": RAW}).network is RAW


@pytest.mark.parametrize("empty", [{}, {"state_dict": {}}, {"model": {}, "epoch": 1}])
def test_an_empty_state_dict_is_refused(empty: dict[str, Any]) -> None:
    with pytest.raises(InputRefusedError, match="empty"):
        find_network(empty)


@pytest.mark.parametrize("other", [torch.zeros(2), [RAW], 7, "text", {"generator": RAW}, {1: torch.zeros(1)}])
def test_something_else_is_refused_with_what_it_is(other: object) -> None:
    with pytest.raises(InputRefusedError, match="it holds") as caught:
        find_network(other)
    assert "state_dict" in caught.value.hint
