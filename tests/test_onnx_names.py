from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper
from small_graphs import copy, noise, proto, run_ort

from dwca_export.onnx_names import rename_values


def test_the_names_go_from_values_that_have_them():
    nodes = [("Mul", ["a", "w"], ["y"], {}), ("Add", ["y", "x"], ["x_1"], {}), ("Relu", ["x_1"], ["b"], {})]
    weights = {"w": np.float32(2), "x": np.float32(1)}
    model = proto(nodes, {"a": (1, 3)}, {"b": (1, 3)}, weights)
    before = copy(model)
    rename_values(model.graph, {"a": "x", "b": "y"})
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["x"]
    assert [value.name for value in model.graph.output] == ["y"]
    values = noise({"a": (1, 3)})["a"]
    np.testing.assert_array_equal(run_ort(model, {"x": values})["y"], run_ort(before, {"a": values})["b"])


def test_names_may_be_exchanged():
    model = proto([("Relu", ["a"], ["b"], {}), ("Neg", ["b"], ["c"], {})], {"a": (1,)}, {"b": (1,), "c": (1,)})
    rename_values(model.graph, {"a": "b", "b": "a"})
    onnx.checker.check_model(model, full_check=True)
    assert [list(node.input) + list(node.output) for node in model.graph.node] == [["b", "a"], ["a", "c"]]


def test_branches_read_the_renamed_values():
    branches = {
        name: helper.make_graph(
            [helper.make_node(kind, ["a"], ["y"])],
            name,
            [],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1,))],
        )
        for name, kind in (("then_branch", "Relu"), ("else_branch", "Neg"))
    }
    nodes = [
        ("ReduceSum", ["a"], ["s"], {"keepdims": 0}),
        ("Cast", ["s"], ["t"], {"to": 9}),
        ("If", ["t"], ["b"], branches),
    ]
    model = proto(nodes, {"a": (1,)}, {"b": (1,)})
    rename_values(model.graph, {"a": "x", "b": "y"})
    onnx.checker.check_model(model, full_check=True)
    assert run_ort(model, {"x": np.array([-2], np.float32)})["y"].item() == 0


def test_without_clash_nothing_else_moves():
    model = proto([("Relu", ["a"], ["r"], {}), ("Neg", ["r"], ["b"], {})], {"a": (1,)}, {"b": (1,)})
    rename_values(model.graph, {"a": "x", "b": "y"})
    assert [list(node.input) + list(node.output) for node in model.graph.node] == [["x", "r"], ["r", "y"]]
