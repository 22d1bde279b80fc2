from __future__ import annotations

import numpy as np
import onnx
import pytest
from reductions import SHAPE, assert_left_alone, assert_rewritten, operators
from small_graphs import noise, onnx_model, proto, run_ncnn, run_ort

from dwca_export.rewrites.graph import static_shapes
from dwca_export.rewrites.group_normalization import apply
from dwca_export.to_ncnn import to_ncnn

WRITTEN_OUT = ["Reshape", "InstanceNormalization", "Reshape", "Mul", "Add"]


def network(shape=SHAPE, groups=2, epsilon=None, twice=False, opset=21):
    """x -> convolution -> group normalisation -> y, once or twice."""
    channels = shape[1]
    weights = noise({"w": (channels, channels, *[1] * (len(shape) - 2)), "scale": (channels,), "bias": (channels,)})
    attributes = {"num_groups": groups, **({} if epsilon is None else {"epsilon": epsilon})}
    nodes = [
        ("Conv", ["x", "w"], ["c"], {}),
        ("GroupNormalization", ["c", "scale", "bias"], ["d" if twice else "y"], attributes),
    ]
    if twice:
        nodes += [
            ("Conv", ["d", "w"], ["e"], {}),
            ("GroupNormalization", ["e", "scale", "bias"], ["y"], attributes),
        ]
    return proto(nodes, {"x": shape}, {"y": shape}, weights, opset)


@pytest.mark.parametrize("shape", [SHAPE, (1, 6, 5), (1, 6, 1, 9), (1, 6, 4, 3, 5)])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_it_is_written_out(shape, groups):
    model = network(shape, groups)
    assert_rewritten(apply, model)
    assert operators(model) == WRITTEN_OUT
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("epsilon", [1e-2, 1.0])
def test_epsilon_is_kept(epsilon):
    assert_rewritten(apply, network(epsilon=epsilon))


def test_shapes_are_known_behind_it():
    model = network(twice=True)
    # If this fails, ONNX infers the shape, and the rewrite has lost a reason to exist.
    assert "e" not in static_shapes(model.graph)
    assert_rewritten(apply, model)
    assert operators(model) == [*WRITTEN_OUT, "Conv", *WRITTEN_OUT]
    assert static_shapes(model.graph)["e"] == list(SHAPE)


def test_others_are_left_alone():
    nodes = [("InstanceNormalization", ["x", "scale", "bias"], ["y"], {})]
    assert_left_alone(apply, proto(nodes, {"x": SHAPE}, {"y": SHAPE}, noise({"scale": (6,), "bias": (6,)})))


def test_a_value_of_open_size_is_left_alone():
    nodes = [("GroupNormalization", ["x", "scale", "bias"], ["y"], {"num_groups": 2})]
    weights = noise({"scale": (6,), "bias": (6,)})
    assert_left_alone(apply, proto(nodes, {"x": (1, 6, "h", 3)}, {"y": None}, weights, 21))


def test_a_scale_per_group_is_left_alone():
    nodes = [("GroupNormalization", ["x", "scale", "bias"], ["y"], {"num_groups": 2})]
    assert_left_alone(apply, proto(nodes, {"x": SHAPE}, {"y": SHAPE}, noise({"scale": (2,), "bias": (2,)}), 18))


def test_a_computed_scale_is_left_alone():
    nodes = [
        ("Add", ["bias", "bias"], ["scale"], {}),
        ("GroupNormalization", ["x", "scale", "bias"], ["y"], {"num_groups": 2}),
    ]
    assert_left_alone(apply, proto(nodes, {"x": SHAPE}, {"y": SHAPE}, noise({"bias": (6,)}), 21))


def test_ncnn_gets_its_group_normalisation():
    model = network(twice=True, epsilon=1e-3)
    feeds = noise({"x": SHAPE})
    expected = run_ort(model, feeds)["y"]
    apply(model)
    converted = to_ncnn(onnx_model(model))
    assert [layer.type for layer in converted.param.layers if "Norm" in layer.type] == ["GroupNorm", "GroupNorm"]
    np.testing.assert_allclose(run_ncnn(converted, feeds)["y"], expected, rtol=1e-4, atol=1e-5)
