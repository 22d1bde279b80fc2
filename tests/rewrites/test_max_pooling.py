from __future__ import annotations

import numpy as np
import onnx
import pytest
from reductions import SHAPE, assert_left_alone, assert_rewritten, operators, reduction
from small_graphs import noise, onnx_model, proto, run_ncnn, run_ort

from dwca_export.errors import ConversionError
from dwca_export.rewrites.max_pooling import apply
from dwca_export.to_ncnn import to_ncnn

CHANNELS = ["Transpose", "MaxPool", "Transpose"]


@pytest.mark.parametrize("opset", [13, 17, 18, 20])
@pytest.mark.parametrize(
    ("axes", "pooling"),
    [
        ([2, 3], ["GlobalMaxPool"]),
        ([-1, -2], ["GlobalMaxPool"]),
        ([3], ["MaxPool"]),
        ([-2], ["MaxPool"]),
        ([1], CHANNELS),
        ([-3], CHANNELS),
    ],
)
@pytest.mark.parametrize("keepdims", [True, False])
def test_maxima_become_pooling(opset, axes, pooling, keepdims):
    model = reduction("ReduceMax", axes, keepdims, opset)
    assert_rewritten(apply, model)
    assert operators(model) == (pooling if keepdims else [*pooling, "Reshape"])
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("axes", [[0], [1, 2], [1, 2, 3], [0, 2, 3]])
def test_maxima_over_other_axes_are_left_alone(axes, keepdims):
    assert_left_alone(apply, reduction("ReduceMax", axes, keepdims, 18))


@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceMin", "ReduceSum", "ReduceL2"])
@pytest.mark.parametrize("axes", [[1], [2, 3]])
def test_other_reductions_are_left_alone(operator, axes):
    assert_left_alone(apply, reduction(operator, axes, True, 18))


@pytest.mark.parametrize("shape", [(1, 6, 5), (1, 6, 5, 4, 3)])
def test_values_that_are_no_maps_are_left_alone(shape):
    assert_left_alone(apply, reduction("ReduceMax", [2], True, 18, shape))


def test_values_of_open_size_are_left_alone():
    nodes = [("Relu", ["x"], ["c"], {}), ("ReduceMax", ["c", "axes"], ["y"], {})]
    axes = {"axes": np.array([3], np.int64)}
    assert_left_alone(apply, proto(nodes, {"x": (1, 6, "h", "w")}, {"y": (1, 6, "h", 1)}, axes))


def test_maxima_over_all_axes_are_left_alone():
    nodes = [("Relu", ["x"], ["c"], {}), ("ReduceMax", ["c"], ["y"], {"keepdims": 0})]
    assert_left_alone(apply, proto(nodes, {"x": SHAPE}, {"y": ()}))


@pytest.mark.parametrize(
    ("axes", "keepdims"), [([3], True), ([2], False), ([2, 3], True), ([2, 3], False), ([1], True), ([1], False)]
)
def test_ncnn_pools_rightly_where_pnnx_alone_fails(axes, keepdims):
    model = reduction("ReduceMax", axes, keepdims, 18)
    feeds = noise({"x": SHAPE})
    expected = run_ort(model, feeds)["y"]
    with pytest.raises(ConversionError, match="ignore ReduceMax"):
        to_ncnn(onnx_model(model))
    apply(model)
    actual = run_ncnn(to_ncnn(onnx_model(onnx.shape_inference.infer_shapes(model))), feeds)["y"]
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
