from __future__ import annotations

import numpy as np
import onnx
import pytest
from reductions import SHAPE, assert_left_alone, assert_rewritten, operators, reduction
from small_graphs import noise, onnx_model, run_ncnn, run_ort

from dwca_export.errors import ConversionError
from dwca_export.rewrites.max_pooling import apply
from dwca_export.to_ncnn import to_ncnn

FORMS = [
    ([2, 3], ["GlobalMaxPool"]),
    ([-1, -2], ["GlobalMaxPool"]),
    ([3], ["MaxPool"]),
    ([2], ["MaxPool"]),
    ([1], ["Transpose", "MaxPool", "Transpose"]),
]


@pytest.mark.parametrize("opset", [13, 17, 18, 20])
@pytest.mark.parametrize(("axes", "nodes"), FORMS)
@pytest.mark.parametrize("keepdims", [True, False])
def test_maxima_become_pooling(opset, axes, nodes, keepdims):
    model = reduction("ReduceMax", axes, keepdims, opset)
    assert_rewritten(apply, model)
    assert operators(model) == (nodes if keepdims else [*nodes, "Reshape"])
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("axes", [[0], [1, 2], [0, 1], [1, 2, 3]])
def test_maxima_over_other_axes_are_left_alone(opset, axes):
    assert_left_alone(apply, reduction("ReduceMax", axes, True, opset))


@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceMin", "ReduceSum"])
def test_other_reductions_are_left_alone(operator):
    assert_left_alone(apply, reduction(operator, [2, 3], True, 18))


@pytest.mark.parametrize("shape", [(1, 6, 5), (1, 6, 5, 4, 3)])
def test_values_that_are_no_maps_are_left_alone(shape):
    assert_left_alone(apply, reduction("ReduceMax", [2], True, 18, shape))


@pytest.mark.parametrize(("axes", "keepdims"), [([3], True), ([2, 3], False), ([1], True)])
def test_ncnn_pools_rightly_and_needs_the_rewrite(axes, keepdims):
    model = reduction("ReduceMax", axes, keepdims, 18)
    with pytest.raises(ConversionError, match="ReduceMax"):
        to_ncnn(onnx_model(model))
    feeds = noise({"x": SHAPE})
    expected = run_ort(model, feeds)["y"]
    apply(model)
    actual = run_ncnn(to_ncnn(onnx_model(onnx.shape_inference.infer_shapes(model))), feeds)["y"]
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
