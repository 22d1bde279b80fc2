"""A layer that is wrong is caught and named in every mode that the machine has, however wide the mode's tolerance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hand_made import finish, graph, noise
from recorded_bundles import change_weights, write_bundle

from dwca_export.audit.verdict import audit
from dwca_export.errors import ConversionError
from dwca_export.ncnn.param import Param

TAPS = ("stem", "depthwise", "sum", "norm", "pooled", "features", "last")


def network(change=lambda layer, one: one):
    """Convolution, depthwise, sum, norm, pooling and two inner products; with some weights changed."""
    made = graph(
        "Input -> in0",
        "Convolution in0 -> stem 0=16 1=3 4=1 5=1 6=432",
        "ConvolutionDepthWise stem -> depthwise 0=16 1=5 4=2 5=1 6=400 7=16",
        "BinaryOp stem depthwise -> sum 0=0",
        "GroupNorm sum -> norm 0=4 1=16 2=1e-5 3=1",
        "Pooling norm -> pooled 0=1 1=4 2=4 5=1",
        "InnerProduct pooled -> features 0=32 1=1 2=2048",
        "InnerProduct features -> last 0=8 1=1 2=256",
        taps={name: name for name in TAPS},
    )
    weights = {
        name: tuple(change(name, replace(one, data=one.data * np.float32(0.2))) for one in tensors)
        for name, tensors in made.weights.items()
    }
    return finish(replace(made, weights=weights))


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path, network(), [noise(3, 8, 8, seed=seed) for seed in range(2)])


def test_the_right_network_passes_in_every_mode(bundle):
    results = audit(bundle)
    assert {result.status for result in results} <= {"passed", "not run"}
    assert {result.mode for result in results if result.status == "passed"} >= {"fp32", "fp16-storage", "bf16-storage"}


def scaled(layer, tensor, factor):
    def change(name, one):
        return replace(one, data=one.data * np.float32(factor)) if (name, one.name) == (layer, tensor) else one

    return change


def first_moved(layer, tensor):
    """The first output channel's weights in place of the second's."""

    def change(name, one):
        if (name, one.name) != (layer, tensor):
            return one
        data = one.data.copy()
        data[: len(data) // 16 * 2] = np.roll(data[: len(data) // 16 * 2], len(data) // 16, axis=0)
        return replace(one, data=data)

    return change


@pytest.mark.parametrize(
    ("layer", "change"),
    [
        ("stem", scaled("stem", "weight", 1.1)),
        ("stem", scaled("stem", "bias", 0)),
        ("stem", first_moved("stem", "weight")),
        ("depthwise", scaled("depthwise", "weight", 0.9)),
        ("norm", scaled("norm", "gamma", 1.1)),
        ("norm", scaled("norm", "beta", -1)),
        ("features", scaled("features", "weight", 1.1)),
        ("last", scaled("last", "bias", 0)),
    ],
)
def test_wrong_weights_are_found_in_every_mode(bundle, layer, change):
    change_weights(bundle, network(change))
    results = [result for result in audit(bundle) if result.status != "not run"]
    assert {result.mode for result in results} >= {"fp32", "fp16-storage", "bf16-storage"}
    for result in results:
        assert result.status == "failed", result.mode
        assert result.first_fault.layer == layer, result.mode


@pytest.mark.parametrize(("right", "wrong"), [("2=1e-5", "2=1.0"), ("0=4 1=16", "0=1 1=16")])
def test_wrong_parameters_are_found_in_every_mode(bundle, right, wrong):
    text = network().param.text()
    assert right in text
    change_weights(bundle, replace(network(), param=Param.parse(text.replace(right, wrong))))
    for result in audit(bundle):
        assert result.status == "not run" or result.first_fault.layer == "norm", result.mode


def test_a_mask_that_ncnn_reads_wrongly_is_refused(bundle):
    """Before ncnn runs it."""
    param = bundle / "model.ncnn.param"
    layers = Param.parse(param.read_text(encoding="utf-8")).layers
    masked = [layer.with_params({31: 4}) if layer.name == "norm" else layer for layer in layers]
    change_weights(bundle, replace(network(), param=Param(tuple(masked))))
    with pytest.raises(ConversionError, match="as float32"):
        audit(bundle, modes=("bf16-storage",))
