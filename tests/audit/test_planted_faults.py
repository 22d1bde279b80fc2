"""Faults that converters and people really make, each planted in one layer: caught, and that layer named."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from dwca_export.audit.verdict import audit
from dwca_export.errors import ConversionError, InputRefusedError
from tools.mutations import BIN, drop_residual, plant, random_mutations, read_network, renew_hashes

FP32 = ("fp32",)


@pytest.fixture
def fault_of(sound, tmp_path):
    """`fault_of(change)`: the first fault that the audit finds once `change(network)` is planted."""

    def call(change):
        planted = plant(sound, tmp_path / "planted_ncnn_model", change(read_network(sound)))
        result = audit(planted, modes=FP32)[0]
        assert result.status == "failed"
        return result.first_fault

    return call


def test_nothing_planted_nothing_found(sound, tmp_path):
    planted = plant(sound, tmp_path / "planted_ncnn_model", read_network(sound))
    for result in audit(planted, modes=FP32):
        assert result.status == "passed"
        assert result.first_fault is None
        assert result.comparison.passed


def flip_one(data):
    data.flat[np.abs(data).argmax()] *= -1
    return data


@pytest.mark.parametrize("layer", ["stem.2", "one.dw_conv", "two.act", "two.conv_pool", "three.dw_conv", "three"])
def test_one_weight_flipped(fault_of, layer):
    names = {"three": "out0"}
    fault = fault_of(lambda net: net.with_weight(head(net) if layer in names else layer, "weight", flip_one))
    assert fault.layer == layer if layer not in names else fault.blob == "out0"
    assert fault.kind in ("some channels", "values", "scale", "scale and shift", "wrong padding")


def head(network):
    return next(layer.name for layer in network.layers if layer.type == "InnerProduct")


def test_a_bias_zeroed(fault_of):
    fault = fault_of(lambda net: net.with_weight("two.conv_pool", "bias", np.zeros_like))
    assert (fault.module, fault.kind) == ("two.conv_pool", "shift")


def norm(network, number=1):
    return [layer for layer in network.layers if layer.type == "GroupNorm"][number].name


def test_groups_of_the_normalisation(sound, fault_of):
    fault = fault_of(lambda net: net.with_layer(norm(net), lambda layer: layer.with_params({0: 1})))
    assert fault.layer == norm(read_network(sound))
    # Each channel is normalised still, by other numbers.
    assert fault.kind == "scale and shift"
    assert fault.statistics.mean_shift + fault.statistics.std_change > 1e-2


def test_statistics_of_each_strip_by_itself(sound, fault_of):
    """The strips lie side by side on the channel axis: twice as many groups keep them apart."""
    fault = fault_of(lambda net: net.with_layer(norm(net), lambda layer: layer.with_params({0: 2 * layer.int(0)})))
    assert fault.layer == norm(read_network(sound))


def test_another_eps(sound, fault_of):
    fault = fault_of(lambda net: net.with_layer(norm(net), lambda layer: layer.with_params({2: 1e-2})))
    assert (fault.layer, fault.kind) == (norm(read_network(sound)), "scale and shift")


def test_gates_of_height_and_width_exchanged(fault_of):
    """On a square map nothing but the numbers tells."""

    def exchange(net):
        layers = {layer.tops[-1]: layer for layer in net.layers if layer.type == "Slice"}
        name = next(layer.name for layer in layers.values() if layer.name.startswith("two"))
        return net.with_layer(name, lambda layer: replace(layer, tops=layer.tops[::-1]))

    assert fault_of(exchange).layer == "two.sigmoid"


def test_gates_applied_along_the_wrong_axis(fault_of):
    """The one that belongs to the height is taken where that of the width belongs."""

    def turn(net):
        return net.with_layer("two.sigmoid#2", lambda layer: layer.with_params({0: 1, 1: layer.int(0)}))

    assert fault_of(turn).kind == "wrong size"


def test_padding_of_one_less(fault_of):
    def shift(layer):
        return layer.with_params({4: 1, 15: 3, 14: 1, 16: 3})

    fault = fault_of(lambda net: net.with_layer("one.dw_conv", shift))
    assert fault.module == "one.dw_conv"


def test_an_image_that_is_not_padded_with_zeros(fault_of):
    fault = fault_of(lambda net: net.with_layer("one.dw_conv", lambda layer: layer.with_params({18: 1.0})))
    assert (fault.module, fault.kind) == ("one.dw_conv", "wrong padding")


def test_hardswish_replaced_by_silu(sound, fault_of):
    fault = fault_of(lambda net: net.with_layer("two.act#2", lambda layer: replace(layer, type="Swish", params={})))
    assert fault.module == "two.act#2"


def test_batch_normalisation_folded_with_the_wrong_variance(fault_of):
    """What it folds to is a factor for each channel, before the Hardswish."""
    factors = np.linspace(0.7, 1.3, 16, dtype=np.float32).reshape(-1, 1, 1, 1)
    fault = fault_of(lambda net: net.with_weight("one.act", "weight", lambda data: data * factors))
    assert fault.module == "one.act"


def test_residual_dropped(fault_of):
    fault = fault_of(lambda net: net.with_layer("two", drop_residual))
    assert fault.module == "two"


def test_strip_mean_over_the_wrong_count(fault_of):
    """One column less, as a kernel that is one too small."""
    fault = fault_of(lambda net: net.with_layer("one.pool_h", lambda layer: layer.with_params({1: layer.int(1) - 1})))
    assert fault.module == "one.pool_h"


def test_weights_of_two_blocks_exchanged(fault_of):
    def exchange(net):
        data = {weight.layer: weight.data for weight in net.weights if weight.name == "weight"}
        net = net.with_weight("one.dw_conv", "weight", lambda _: data["two.dw_conv"].copy())
        return net.with_weight("two.dw_conv", "weight", lambda _: data["one.dw_conv"].copy())

    assert fault_of(exchange).module == "one.dw_conv"


def test_a_weight_that_is_no_number(fault_of):
    def poison(data):
        data.flat[0] = np.nan
        return data

    fault = fault_of(lambda net: net.with_weight("two.act", "weight", poison))
    assert (fault.module, fault.kind) == ("two.act", "non-finite")
    assert fault.statistics.not_finite > 0


def test_a_layer_of_zeros(fault_of):
    fault = fault_of(lambda net: net.with_weight("two.dw_conv", "weight", np.zeros_like))
    assert (fault.module, fault.kind) == ("two.dw_conv", "zeros")


def test_a_scale(fault_of):
    fault = fault_of(lambda net: net.with_weight("two.dw_conv", "weight", lambda data: data * np.float32(1.001)))
    assert (fault.module, fault.kind) == ("two.dw_conv", "scale")


def test_layers_behind_the_fault_are_not_named(sound, tmp_path):
    network = read_network(sound).with_weight("one.dw_conv", "weight", flip_one)
    result = audit(plant(sound, tmp_path / "planted_ncnn_model", network), modes=FP32)[0]
    assert [layer.module for layer in result.layers if layer.kind] == ["one.dw_conv"]
    assert sum(layer.carried.relative_l2 > 1e-4 for layer in result.layers) > 10


def test_a_network_of_fewer_layers_is_refused(sound, tmp_path):
    """Blobs that were recorded and that nobody computes any more."""
    network = read_network(sound)
    gone = network.layers[-1]
    layers = (*network.layers[:-2], replace(gone, bottoms=network.layers[-2].bottoms))
    planted = plant(sound, tmp_path / "planted_ncnn_model", network)
    param = planted / "model.ncnn.param"
    lines = param.read_text(encoding="utf-8").splitlines()
    assert len(layers) == len(network.layers) - 1
    param.write_text("\n".join(line.replace("two.act#2", "other") for line in lines) + "\n", encoding="utf-8")
    renew_hashes(planted, param.name)
    with pytest.raises(Exception, match="no layer computes two"):
        audit(planted, modes=FP32)


def test_a_truncated_bin(sound, tmp_path):
    planted = plant(sound, tmp_path / "planted_ncnn_model", read_network(sound))
    data = (planted / BIN).read_bytes()
    (planted / BIN).write_bytes(data[: len(data) // 2])
    with pytest.raises(InputRefusedError, match="is not the file that the manifest names"):
        audit(planted, modes=FP32)
    renew_hashes(planted, BIN)
    with pytest.raises(ConversionError):
        audit(planted, modes=FP32)


def test_overflow_in_fp16(sound, tmp_path):
    """A weight beyond fp16's range is infinite once ncnn stores it so; in fp32 it is right."""
    network = read_network(sound)

    def huge(data):
        data.flat[np.abs(data).argmax()] = 1e6
        return data

    planted = plant(sound, tmp_path / "planted_ncnn_model", network.with_weight(head(network), "weight", huge))
    by_mode = {result.mode: result for result in audit(planted, modes=("fp32", "fp16-storage"))}
    half = by_mode["fp16-storage"]
    if half.status == "not run":
        pytest.skip(half.reason)
    assert half.first_fault.layer == head(network)


@pytest.mark.parametrize("seed", range(3))
def test_random_mutations_are_caught_and_located(sound, tmp_path, seed):
    """A few of those that `tools/mutation_study.py` draws by the hundred."""
    network = read_network(sound)
    for mutation in islice(random_mutations(network, seed), 5):
        planted = plant(sound, tmp_path / "planted_ncnn_model", mutation.network)
        result = audit(planted, modes=FP32)[0]
        if result.status == "failed":
            assert result.first_fault.layer in mutation.layers, mutation.kind
        else:
            assert result.comparison.passed
