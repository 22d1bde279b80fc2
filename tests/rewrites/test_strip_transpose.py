from __future__ import annotations

import numpy as np
import onnx
import pytest
from reductions import assert_left_alone, assert_rewritten, operators, pointwise
from small_graphs import noise, onnx_model, proto, run_ncnn, run_ort

from dwca_export.rewrites.strip_transpose import apply
from dwca_export.to_ncnn import to_ncnn

SWAP = [0, 1, 3, 2]


def transposition(shape, perm=None, opset=18):
    first, weights = pointwise(shape)
    nodes = [first, ("Transpose", ["c"], ["y"], {"perm": perm} if perm else {})]
    turned = [shape[axis] for axis in perm or reversed(range(len(shape)))]
    return proto(nodes, {"x": shape}, {"y": turned}, weights, opset)


@pytest.mark.parametrize("opset", [11, 13, 17, 18])
@pytest.mark.parametrize("shape", [(1, 6, 5, 1), (1, 6, 1, 7), (1, 6, 1, 1), (1, 1, 5, 1), (2, 6, 5, 1)])
def test_strips_are_reshaped(shape, opset):
    model = transposition(shape, SWAP, opset)
    assert_rewritten(apply, model)
    assert operators(model) == ["Reshape"]
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize(
    ("shape", "perm"),
    [
        ((1, 6, 5, 7), SWAP),
        ((1, 6, 5, 1), [0, 2, 1, 3]),
        ((1, 6, 5, 1), [0, 3, 2, 1]),
        ((1, 6, 5, 1), [0, 1, 2, 3]),
        ((1, 6, 5, 1), None),
        ((1, 5, 1), [0, 2, 1]),
        ((1, 6, 5, 4, 1), [0, 1, 2, 4, 3]),
    ],
)
def test_all_else_is_left_alone(shape, perm):
    assert_left_alone(apply, transposition(shape, perm))


def test_values_of_unknown_shape_are_left_alone():
    model = transposition((1, 6, 5, 1), SWAP)
    del model.graph.value_info[:]
    assert_left_alone(apply, model)
    nodes = [("Relu", ["x"], ["c"], {}), ("Transpose", ["c"], ["y"], {"perm": SWAP})]
    assert_left_alone(apply, proto(nodes, {"x": (1, 6, "h", "w")}, {"y": (1, 6, "w", "h")}))


@pytest.mark.parametrize("shape", [(1, 6, 5, 1), (1, 6, 1, 7)])
def test_ncnn_reshapes_rightly(shape):
    model = transposition(shape, SWAP)
    feeds = noise({"x": shape})
    expected = run_ort(model, feeds)["y"]
    apply(model)
    converted = to_ncnn(onnx_model(onnx.shape_inference.infer_shapes(model)))
    assert "Permute" not in {layer.type for layer in converted.param.layers}
    np.testing.assert_allclose(run_ncnn(converted, feeds)["y"], expected, rtol=1e-5, atol=1e-6)
