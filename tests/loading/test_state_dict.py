from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dwca_export.errors import InputRefusedError
from dwca_export.loading.state_dict import load_weights


def network(seed: int = 0, channels: int = 3, classes: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, classes))


def same(first: nn.Module, second: nn.Module) -> bool:
    left, right = first.state_dict(), second.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def renamed(weights: dict[str, Any], prefix: str) -> OrderedDict[str, Any]:
    return OrderedDict((prefix + name, value) for name, value in weights.items())


def test_matching_weights_load_without_notes() -> None:
    target, trained = network(1), network(2)
    assert load_weights(target, trained.state_dict()) == []
    assert same(target, trained)


@given(st.lists(st.sampled_from(["module.", "_orig_mod."]), min_size=1, max_size=4))
def test_wrapper_prefixes_in_any_order_are_removed_with_a_note(prefixes: list[str]) -> None:
    target, trained = network(1), network(2)
    notes = load_weights(target, renamed(trained.state_dict(), "".join(prefixes)))
    assert same(target, trained)
    assert notes == ["prefixes removed from the weights' names: " + " ".join(prefixes)]


def test_the_prefix_of_a_compiled_part_is_removed() -> None:
    target, trained = nn.Sequential(network(1)), nn.Sequential(network(2))
    compiled = nn.Sequential(torch.compile(trained[0]))
    assert any("._orig_mod." in name for name in compiled.state_dict())
    notes = load_weights(target, compiled.state_dict())
    assert same(target, trained)
    assert "_orig_mod." in notes[0]


def test_the_real_wrappers_are_understood() -> None:
    trained = network(2)
    for wrapped in (nn.DataParallel(trained), torch.optim.swa_utils.AveragedModel(trained), torch.compile(trained)):
        target = network(1)
        assert load_weights(target, wrapped.state_dict())
        assert same(target, trained)


def test_a_network_with_an_attribute_of_that_name_is_left_alone() -> None:
    target, trained = nn.Module(), nn.Module()
    target.module, trained.module = network(1), network(2)
    assert load_weights(target, trained.state_dict()) == []
    assert same(target, trained)


def test_such_a_network_is_left_alone_even_if_a_counter_is_missing() -> None:
    target, trained = nn.Module(), nn.Module()
    target.module, trained.module = network(1), network(2)
    weights = trained.state_dict()
    del weights["module.1.num_batches_tracked"]
    assert "counter" in load_weights(target, weights)[0]
    assert torch.equal(target.module[0].weight, trained.module[0].weight)


def test_a_prefix_on_some_names_only_is_not_removed() -> None:
    weights = network(2).state_dict()
    weights["module.0.weight"] = weights.pop("0.weight")
    with pytest.raises(InputRefusedError, match=r"module\.0\.weight"):
        load_weights(network(1), weights)


def test_names_that_collide_without_their_prefixes_are_refused() -> None:
    weights = nn.Sequential(network(2)).state_dict()
    weights["0._orig_mod.0.weight"] = weights["0.0.weight"]
    with pytest.raises(InputRefusedError, match="same name"):
        load_weights(nn.Sequential(network(1)), weights)


def test_missing_batch_counters_are_tolerated_with_a_note() -> None:
    target, trained = network(1), network(2)
    weights = {name: value for name, value in trained.state_dict().items() if "num_batches" not in name}
    notes = load_weights(target, weights)
    assert len(notes) == 1
    assert "num_batches_tracked" in notes[0]
    assert torch.equal(target[1].running_var, trained[1].running_var)


def test_missing_and_unexpected_names_are_listed_with_counts() -> None:
    weights = network(2).state_dict()
    weights["head.weight"] = weights.pop("2.weight")
    with pytest.raises(InputRefusedError) as caught:
        load_weights(network(1), weights)
    assert "1 missing in the file:\n      2.weight" in caught.value.what
    assert "1 in the file, but not in the network:\n      head.weight" in caught.value.what


def test_a_missing_running_statistic_is_not_taken_for_a_counter() -> None:
    weights = network(2).state_dict()
    del weights["1.running_mean"]
    with pytest.raises(InputRefusedError, match=r"1\.running_mean"):
        load_weights(network(1), weights)


def test_at_most_ten_names_are_listed() -> None:
    target = nn.Sequential(*(nn.Linear(1, 1) for _ in range(8)))
    with pytest.raises(InputRefusedError) as caught:
        load_weights(target, {"0.weight": torch.zeros(1, 1)})
    assert "15 missing" in caught.value.what
    assert "... and 5 more" in caught.value.what
    assert caught.value.what.count(".weight") + caught.value.what.count(".bias") == 10


@pytest.mark.parametrize(("other", "name"), [({"channels": 1}, "0.weight"), ({"classes": 10}, "2.bias")])
def test_other_input_channels_or_classes_are_refused_with_both_shapes(other: dict[str, int], name: str) -> None:
    given, wanted = network(**other).state_dict()[name].shape, network().state_dict()[name].shape
    with pytest.raises(InputRefusedError) as caught:
        load_weights(network(), network(**other).state_dict())
    assert f"{name}: {tuple(given)} in the file, {tuple(wanted)} in the network" in caught.value.what


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ([1.0], "a list, not a tensor"),
        (torch.zeros(4, device="meta"), "without data"),
        (torch.quantize_per_tensor(torch.zeros(4), 0.1, 0, torch.qint8), "quantised"),
        (torch.zeros(4).to_sparse(), "sparse"),
        (torch.zeros(4, dtype=torch.complex64), "complex"),
    ],
)
def test_what_is_no_plain_tensor_is_refused(value: object, fault: str) -> None:
    weights = {**network().state_dict(), "2.bias": value}
    with pytest.raises(InputRefusedError, match=fault):
        load_weights(network(), weights)


def test_integers_are_not_rounded_silently() -> None:
    weights = {**network().state_dict(), "1.num_batches_tracked": torch.tensor(2.5)}
    with pytest.raises(InputRefusedError, match="fractional"):
        load_weights(network(), weights)
    weights["1.num_batches_tracked"] = torch.tensor(2.0)
    assert load_weights(network(), weights) == []


def test_half_precision_widens_exactly() -> None:
    trained = network(2).half()
    target = network(1)
    load_weights(target, trained.state_dict())
    assert target[0].weight.dtype == torch.float32
    assert torch.equal(target[0].weight, trained[0].weight.float())


def test_layers_that_rename_their_weights_on_loading_still_do() -> None:
    trained = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    target = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    load_weights(target, trained.state_dict())
    assert torch.equal(target.weight, trained.weight)


def test_the_versions_of_layers_survive_the_removal_of_prefixes() -> None:
    seen = []

    class Versioned(nn.Linear):
        _version = 7

        def _load_from_state_dict(self, weights: Any, prefix: str, metadata: Any, *rest: Any) -> None:
            seen.append(metadata.get("version"))
            super()._load_from_state_dict(weights, prefix, metadata, *rest)

    wrapped = nn.DataParallel(nn.Sequential(Versioned(1, 1)))
    load_weights(nn.Sequential(Versioned(1, 1)), wrapped.state_dict())
    assert seen == [7]
