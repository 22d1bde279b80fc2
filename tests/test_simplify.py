"""ONNX files as networks, and what onnxsim and the rewrites may make of a graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper
from small_graphs import copy, loaded, noise, onnx_model, proto, run_ort

from dwca_export import simplify as hop
from dwca_export.errors import ConversionError, InputRefusedError
from dwca_export.runners.ort import OrtRunner
from dwca_export.simplify import open_onnx, rewrite, simplify

WEIGHT = noise({"w": (4, 3, 3, 3)})["w"]
CONV = ("Conv", ["x", "w"], ["c"], {"pads": [1, 1, 1, 1]})
RELU = ("Relu", ["c"], ["y"], {})


def conv_relu(shape, outputs=None):
    return proto([CONV, RELU], {"x": shape}, {"y": outputs}, {"w": WEIGHT})


def refused(model, *shapes):
    with pytest.raises(InputRefusedError) as caught:
        open_onnx(loaded(model), shapes)
    assert caught.value.exit_code == 3
    assert caught.value.hint
    assert "\n" not in caught.value.what
    return caught.value.what


@pytest.mark.parametrize("declared", [(1, 3, 8, 6), ("n", 3, "h", "w_"), (1, 3, "h", 6), ("n", "c", "h", "w_")])
def test_open_sizes_become_static(declared):
    model = open_onnx(loaded(conv_relu(declared)), ((1, 3, 8, 6),))
    assert [(spec.name, spec.shape) for spec in model.inputs] == [("x", (1, 3, 8, 6))]
    assert [(spec.name, spec.shape) for spec in model.outputs] == [("y", (1, 4, 8, 6))]
    assert model.scopes == {"c": "c", "y": "y"}
    for value, expected in ((model.proto.graph.input[0], [1, 3, 8, 6]), (model.proto.graph.output[0], [1, 4, 8, 6])):
        assert [dim.dim_value for dim in value.type.tensor_type.shape.dim] == expected


def test_what_the_graph_says_of_its_values_is_not_believed():
    """An exporter that wrote down the sizes of its example: rewrites would take them for those of this size."""
    model = conv_relu((1, 3, "h", "w_"), (1, 4, 8, 8))
    del model.graph.value_info[:]
    model.graph.value_info.append(helper.make_tensor_value_info("c", T.FLOAT, (1, 4, 8, 8)))
    opened = simplify(open_onnx(loaded(model), ((1, 3, 12, 10),)))
    assert opened.outputs[0].shape == (1, 4, 12, 10)
    inner = next(value for value in opened.proto.graph.value_info if value.name == "c")
    assert [dim.dim_value for dim in inner.type.tensor_type.shape.dim] == [1, 4, 12, 10]


def test_the_given_model_is_left_alone():
    model = conv_relu(("n", 3, "h", "w_"))
    before = copy(model)
    open_onnx(loaded(model), ((1, 3, 8, 8),))
    assert model == before


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ((1, 3, 9, 8), "has the shape [1, 3, 8, 0]"),
        ((1, 4, 8, 8), "[1, 4, 8, 8] is given"),
        ((1, 3, 8), "has the shape"),
        ((2, 3, 8, 8), "has the shape"),
    ],
)
def test_shapes_that_contradict_the_graph_are_refused(shape, what):
    assert what in refused(conv_relu((1, 3, 8, "w_")), shape)


def test_other_shapes_that_cannot_be_are_refused():
    free = conv_relu(("n", "c", "h", "w_"))
    assert "batch axis" in refused(free, (2, 3, 8, 8))
    assert "does not run on 1x5x8x8" in refused(free, (1, 5, 8, 8))
    assert "2 shapes given, the graph takes 1" in refused(free, (1, 3, 8, 8), (1, 3, 8, 8))
    with pytest.raises(InputRefusedError, match="leaves input sizes open"):
        open_onnx(loaded(free), None)


def test_a_graph_that_fails_as_it_runs_is_refused():
    reshape = proto(
        [("Reshape", ["x", "s"], ["y"], {})], {"x": ("n", "c")}, {"y": None}, {"s": np.array([1, 7], np.int64)}
    )
    assert "does not run on 1x6" in refused(reshape, (1, 6))
    assert open_onnx(loaded(reshape), ((1, 7),)).outputs[0].shape == (1, 7)


def typed(node, input_type, output_type):
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", input_type, (1, 3))],
        [helper.make_tensor_value_info("y", output_type, (1, 3))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (typed(helper.make_node("Cast", ["x"], ["y"], to=1), T.INT64, T.FLOAT), "'x' is int64"),
        (
            typed(helper.make_node("Cast", ["x"], ["y"], to=10), T.FLOAT, T.FLOAT16),
            "'y' is float16",
        ),
        (typed(helper.make_node("Relu", ["x"], ["y"]), T.DOUBLE, T.DOUBLE), "'x' is double"),
    ],
)
def test_only_float32_goes_in_and_out(model, what):
    assert what in refused(model, (1, 3))


@pytest.mark.parametrize(
    ("node", "what"),
    [
        (("ReduceMean", ["x"], ["y"], {"keepdims": 0}), "batch axis"),
        (("Log", ["x"], ["y"], {}), "NaN or infinity"),
        (("Reshape", ["x", "flat"], ["y"], {}), "batch axis"),
    ],
)
def test_outputs_that_nothing_can_be_proven_about_are_refused(node, what):
    model = proto([node], {"x": (1, 3, 4)}, {"y": None}, {"flat": np.array([-1], np.int64)})
    assert what in refused(model, (1, 3, 4))


def test_weights_listed_among_the_inputs_are_none():
    model = conv_relu((1, 3, 8, 8))
    model.graph.input.append(helper.make_tensor_value_info("w", T.FLOAT, WEIGHT.shape))
    assert [spec.name for spec in open_onnx(loaded(model), ((1, 3, 8, 8),)).inputs] == ["x"]


@pytest.fixture
def foldable():
    """y = relu(x * (2 + 3)) + 0, with an Identity and a Dropout on the way."""
    nodes = [
        ("Add", ["two", "three"], ["five"], {}),
        ("Mul", ["x", "five"], ["m"], {}),
        ("Identity", ["m"], ["i"], {}),
        ("Dropout", ["i"], ["d"], {}),
        ("Relu", ["d"], ["y"], {}),
    ]
    constants = {"two": np.float32(2), "three": np.float32(3)}
    return onnx_model(proto(nodes, {"x": (1, 4)}, {"y": (1, 4)}, constants))


def test_simplify_folds_and_drops(foldable):
    simple = simplify(foldable)
    assert [node.op_type for node in simple.proto.graph.node] == ["Mul", "Relu"]
    feeds = noise({"x": (1, 4)})
    np.testing.assert_array_equal(run_ort(simple.proto, feeds)["y"], run_ort(foldable.proto, feeds)["y"])
    assert (simple.inputs, simple.outputs, simple.scopes) == (foldable.inputs, foldable.outputs, foldable.scopes)


def gate(source, target):
    """A gate by means along W whose axis is dropped and put back, with a `Reshape` to the shape it has already."""
    names = [f"{target}_{name}" for name in ("mean", "strip", "gate", "shape", "same")]
    mean, strip, gate, shape, same = names
    return [
        ("ReduceMean", [source], [mean], {"axes": [3], "keepdims": 0}),
        ("Unsqueeze", [mean, "three"], [strip], {}),
        ("Sigmoid", [strip], [gate], {}),
        ("Shape", [gate], [shape], {}),
        ("Relu", [gate], [f"{gate}_relu"], {}),
        ("Reshape", [f"{gate}_relu", shape], [same], {}),
        ("Mul", [source, same], [target], {}),
    ]


def test_a_reduction_behind_which_an_axis_is_put_back():
    """onnxsim makes one node of the two, takes it for a scalar, and folds the second gate's shape to nothing."""
    nodes = [*gate("x", "a"), *gate("a", "y")]
    given = proto(nodes, {"x": (1, 4, 5, 6)}, {"y": (1, 4, 5, 6)}, {"three": np.array([3], np.int64)}, opset=13)
    del given.graph.value_info[:]
    simple = simplify(onnx_model(given)).proto
    feeds = noise({"x": (1, 4, 5, 6)})
    np.testing.assert_allclose(run_ort(simple, feeds)["y"], run_ort(given, feeds)["y"], rtol=1e-6)
    assert "Reshape" not in {node.op_type for node in simple.graph.node}
    inner = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in simple.graph.value_info
    }
    assert inner["a_gate"] == inner["y_gate"] == [1, 4, 5, 1]


def test_a_graph_that_is_broken_is_refused_with_the_hop_named(foldable):
    broken = copy(foldable.proto)
    broken.graph.node[4].input[0] = "nobody"
    with pytest.raises(ConversionError) as caught:
        simplify(replace(foldable, proto=broken))
    assert caught.value.where == "simplify"
    assert caught.value.exit_code == 4


def test_outputs_of_another_shape_are_noticed(foldable):
    outputs = (replace(foldable.outputs[0], shape=(1, 5)),)
    with pytest.raises(ConversionError, match=r"\(1, 4\) instead of \(1, 5\)"):
        simplify(replace(foldable, outputs=outputs))


def test_sizes_that_depend_on_the_data_are_refused():
    nodes = [("NonZero", ["x"], ["n"], {}), ("Cast", ["n"], ["y"], {"to": T.FLOAT})]
    given = onnx_model(proto(nodes, {"x": (1, 4)}, {"y": (2, "found")}))
    with pytest.raises(ConversionError, match="open or empty size"):
        simplify(given)


def test_an_onnxsim_that_takes_too_long_is_stopped(foldable):
    with pytest.raises(ConversionError, match=r"onnxsim takes more than 0.01 s") as caught:
        simplify(foldable, timeout=0.01)
    assert caught.value.where == "simplify"


@pytest.fixture
def with_means():
    """Means along W (for pooling), along the channels (one axis), and a strip that is transposed."""
    nodes = [
        ("Conv", ["x", "w"], ["c"], {"pads": [1, 1, 1, 1]}),
        ("ReduceMean", ["c", "three"], ["strip"], {}),
        ("Transpose", ["strip"], ["row"], {"perm": [0, 1, 3, 2]}),
        ("ReduceMean", ["c", "one"], ["mean"], {}),
        ("Add", ["row", "mean"], ["y"], {}),
    ]
    constants = {"w": WEIGHT, "one": np.array([1], np.int64), "three": np.array([3], np.int64)}
    return onnx_model(proto(nodes, {"x": (1, 3, 6, 6)}, {"y": (1, 4, 6, 6)}, constants))


def test_rewrites_are_applied_in_order_and_named(with_means):
    before = copy(with_means.proto)
    rewritten, names = rewrite(with_means)
    assert names == ("mean pooling", "one-axis reduction", "strip transpose")
    assert with_means.proto == before
    feeds = noise({"x": (1, 3, 6, 6)})
    with OrtRunner(rewritten, "rewritten") as runner:
        np.testing.assert_allclose(runner.infer(feeds)["y"], run_ort(before, feeds)["y"], rtol=1e-5, atol=1e-6)
    # Once is enough.
    assert rewrite(rewritten) == (rewritten, ())


def test_what_needs_no_rewrite_is_returned_as_it_is(foldable):
    model, names = rewrite(foldable)
    assert model is foldable
    assert names == ()


@pytest.mark.parametrize("fault", ["dangling", "shape"])
def test_a_rewrite_that_breaks_the_graph_is_named(with_means, monkeypatch, fault):
    def break_it(model):
        if fault == "dangling":
            model.graph.node[0].input[0] = "nobody"
        else:
            model.graph.node[-1].op_type = "Sub"
            model.graph.output[0].type.tensor_type.shape.dim[3].dim_value = 7
        return True

    monkeypatch.setattr(hop, "REWRITES", (("planted", break_it),))
    with pytest.raises(ConversionError) as caught:
        rewrite(with_means)
    assert caught.value.where == "rewrite planted"
    assert caught.value.exit_code == 4


def test_a_rewritten_graph_is_valid_in_full(with_means):
    onnx.checker.check_model(rewrite(with_means)[0].proto, full_check=True)
