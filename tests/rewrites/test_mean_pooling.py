from __future__ import annotations

import numpy as np
import onnx
import pytest
from reductions import SHAPE, assert_left_alone, assert_rewritten, operators, reduction
from small_graphs import noise, onnx_model, proto, run_ncnn, run_ort

from dwca_export.rewrites.mean_pooling import apply
from dwca_export.to_ncnn import to_ncnn

OPSETS = [13, 17, 18, 20]  # axes are an attribute up to 17, an input from 18 on


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("axes", "pooling"),
    [
        ([2, 3], "GlobalAveragePool"),
        ([-1, -2], "GlobalAveragePool"),
        ([3], "AveragePool"),
        ([-1], "AveragePool"),
        ([2], "AveragePool"),
    ],
)
@pytest.mark.parametrize("keepdims", [True, False])
def test_means_become_pooling(opset, axes, pooling, keepdims):
    model = reduction("ReduceMean", axes, keepdims, opset)
    assert_rewritten(apply, model)
    assert operators(model) == ([pooling] if keepdims else [pooling, "Reshape"])
    onnx.checker.check_model(model, full_check=True)


def test_the_kernel_is_the_whole_strip():
    model = reduction("ReduceMean", [3], True, 18)
    apply(model)
    attributes = {entry.name: list(entry.ints) for entry in model.graph.node[1].attribute}
    assert attributes == {"kernel_shape": [1, 7], "strides": [1, 7]}


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("axes", [[1], [0], [1, 2], [1, 2, 3], [0, 2, 3]])
def test_means_over_other_axes_are_left_alone(opset, axes, keepdims):
    assert_left_alone(apply, reduction("ReduceMean", axes, keepdims, opset))


@pytest.mark.parametrize("operator", ["ReduceSum", "ReduceMax", "ReduceL2", "ReduceProd", "ReduceLogSumExp"])
def test_other_reductions_are_left_alone(operator):
    assert_left_alone(apply, reduction(operator, [2, 3], True, 18))


@pytest.mark.parametrize("shape", [(1, 6, 5), (1, 6, 5, 4, 3)])
def test_values_that_are_no_maps_are_left_alone(shape):
    assert_left_alone(apply, reduction("ReduceMean", [2], True, 18, shape))


def test_values_of_open_size_are_left_alone():
    nodes = [("Relu", ["x"], ["c"], {}), ("ReduceMean", ["c", "axes"], ["y"], {})]
    axes = {"axes": np.array([3], np.int64)}
    assert_left_alone(apply, proto(nodes, {"x": (1, 6, "h", "w")}, {"y": (1, 6, "h", 1)}, axes))
    unknown = proto(nodes, {"x": SHAPE}, {"y": (1, 6, 5, 1)}, axes)
    del unknown.graph.value_info[:]
    assert_left_alone(apply, unknown)


def test_means_over_all_axes_and_computed_axes_are_left_alone():
    for inputs in (["x"], ["x", ""], ["x", "computed"]):
        nodes = [
            ("Add", ["two", "one"], ["computed"], {}),
            ("ReduceMean", inputs, ["y"], {"keepdims": 0}),
        ]
        constants = {"two": np.array([2], np.int64), "one": np.array([1], np.int64)}
        assert_left_alone(apply, proto(nodes, {"x": SHAPE}, {"y": None}, constants))
    none = reduction("ReduceMean", [3], True, 17)
    del none.graph.node[1].attribute[:]
    none.graph.node[1].attribute.append(onnx.helper.make_attribute("axes", [], attr_type=onnx.AttributeProto.INTS))
    assert_left_alone(apply, none)


def test_several_means_of_one_value():
    nodes = [
        ("Relu", ["x"], ["c"], {}),
        ("ReduceMean", ["c", "three"], ["h"], {}),
        ("ReduceMean", ["c", "two"], ["w"], {}),
        ("ReduceMean", ["c", "one"], ["channels"], {}),
        ("Add", ["h", "w"], ["sum"], {}),
        ("Add", ["sum", "channels"], ["y"], {}),
    ]
    constants = {name: np.array([axis], np.int64) for name, axis in (("one", 1), ("two", 2), ("three", 3))}
    model = proto(nodes, {"x": SHAPE}, {"y": SHAPE}, constants)
    assert_rewritten(apply, model)
    assert operators(model) == ["AveragePool", "AveragePool", "ReduceMean", "Add", "Add"]


@pytest.mark.parametrize(("axes", "keepdims"), [([3], True), ([2], False), ([2, 3], True)])
def test_ncnn_pools_rightly(axes, keepdims):
    model = reduction("ReduceMean", axes, keepdims, 18)
    feeds = noise({"x": SHAPE})
    expected = run_ort(model, feeds)["y"]
    apply(model)
    converted = to_ncnn(onnx_model(onnx.shape_inference.infer_shapes(model)))
    actual = run_ncnn(converted, feeds)["y"]
    assert "Reduction" not in {layer.type for layer in converted.param.layers}
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
