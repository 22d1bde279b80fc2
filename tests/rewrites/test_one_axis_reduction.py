from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from reductions import SHAPE, assert_left_alone, assert_rewritten, operators, reduction
from small_graphs import noise, onnx_model, proto, run_ncnn, run_ort

from dwca_export import to_ncnn as hop
from dwca_export.errors import ConversionError
from dwca_export.ncnn.param import Param
from dwca_export.rewrites.one_axis_reduction import apply
from dwca_export.to_ncnn import to_ncnn

OPERATORS = ["ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceLogSumExp"]


def axes_of(node, model):
    for entry in node.attribute:
        if entry.name == "axes":
            return list(entry.ints)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
    return onnx.numpy_helper.to_array(tensor).tolist()


@pytest.mark.parametrize("opset", [11, 13, 17, 18, 20])
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(("axis", "positive"), [(1, 1), (-1, 3)])
@pytest.mark.parametrize("keepdims", [True, False])
def test_the_batch_axis_joins(opset, operator, axis, positive, keepdims):
    model = reduction(operator, [axis], keepdims, opset)
    assert_rewritten(apply, model)
    assert axes_of(model.graph.node[1], model) == [0, positive]
    assert operators(model) == ([operator] if keepdims else [operator, "Squeeze"])
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("shape", [(1, 6), (1, 6, 5), (1, 6, 5, 4, 3)])
def test_any_rank(shape, keepdims):
    model = reduction("ReduceMean", [1], keepdims, 18, shape)
    assert_rewritten(apply, model)


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("axes", [[0], [-4], [2, 3], [0, 1], [1, 2, 3]])
def test_other_axes_are_left_alone(opset, axes, keepdims):
    assert_left_alone(apply, reduction("ReduceMean", axes, keepdims, opset))


@pytest.mark.parametrize(
    "operator", ["ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSum", "ReduceSumSquare", "ArgMax"]
)
def test_other_operators_are_left_alone(operator):
    model = reduction("ReduceMean", [1], True, 17)
    model.graph.node[1].op_type = operator
    assert_left_alone(apply, model)


def test_batches_of_several_samples_are_left_alone():
    assert_left_alone(apply, reduction("ReduceMean", [1], True, 18, (2, 6, 5, 7)))


def test_unknown_shapes_all_axes_and_computed_axes_are_left_alone():
    unknown = reduction("ReduceMean", [1], True, 18)
    del unknown.graph.value_info[:]
    assert_left_alone(apply, unknown)
    for inputs in (["x"], ["x", ""], ["x", "computed"]):
        nodes = [("Add", ["one", "one"], ["computed"], {}), ("ReduceMean", inputs, ["y"], {"keepdims": 0})]
        assert_left_alone(apply, proto(nodes, {"x": SHAPE}, {"y": None}, {"one": np.array([1], np.int64)}))


def in_ncnn(model, feeds):
    return run_ncnn(to_ncnn(onnx_model(onnx.shape_inference.infer_shapes(model))), feeds)["y"]


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize(("operator", "axis"), [("ReduceMean", 1), ("ReduceSum", 2), ("ReduceL2", 3)])
def test_ncnn_reduces_rightly(operator, axis, keepdims):
    """Fails without the rewrite: see the next test."""
    feeds = noise({"x": SHAPE})
    model = reduction(operator, [axis], keepdims, 18)
    expected = run_ort(model, feeds)["y"]
    apply(model)
    np.testing.assert_allclose(in_ncnn(model, feeds), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 6, 5), (1, 6, 5, 4, 3)])
def test_ncnn_reduces_other_ranks_rightly(shape):
    feeds = noise({"x": shape})
    model = reduction("ReduceMean", [2], True, 18, shape)
    expected = run_ort(model, feeds)["y"]
    apply(model)
    np.testing.assert_allclose(in_ncnn(model, feeds), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("operator", "opset"), [("ReduceMean", 18), ("ReduceSum", 13)])
def test_without_the_rewrite_it_is_refused_because_ncnn_would_return_its_input(operator, opset, monkeypatch):
    model = reduction(operator, [2], True, opset)
    with pytest.raises(ConversionError, match="empty list of axes") as caught:
        to_ncnn(onnx_model(model))
    assert "Reduction" in caught.value.where
    feeds = noise({"x": SHAPE})
    monkeypatch.setattr(hop, "_check_layer", lambda layer: None)
    actual = in_ncnn(model, feeds)
    # What the check and the rewrite are for: pnnx and ncnn are content, and the result is the reduction's input.
    np.testing.assert_allclose(actual, run_ort(_first_node(model), feeds)["c"], rtol=1e-4, atol=1e-5)


def _first_node(model):
    first = onnx.ModelProto()
    first.CopyFrom(model)
    del first.graph.node[1:]
    first.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("c", onnx.TensorProto.FLOAT, SHAPE))
    return first


def test_the_empty_list_is_pnnx_own():
    """The fact that the rewrite rests on; when this fails, pnnx has learnt to read one axis and the rewrite can go."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(reduction("ReduceMean", [2], True, 18), folder / "model.onnx")
        hop._run(hop.find_pnnx(), folder, 60)
        layers = Param.parse((folder / "model.ncnn.param").read_text()).layers
    layer = next(layer for layer in layers if layer.type == "Reduction")
    assert layer.params[-23303] == "0"
