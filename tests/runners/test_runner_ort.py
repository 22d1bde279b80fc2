from __future__ import annotations

import numpy as np
import pytest
from small_graphs import noise, onnx_model, proto

from dwca_export.errors import ConversionError, InputRefusedError
from dwca_export.runners.ort import OrtRunner


def model(nodes=(("Relu", ["x"], ["y"], {}),)):
    return onnx_model(proto(nodes, {"x": (1, 4)}, {"y": (1, 4)}, {"s": np.array([1, 5], np.int64)}))


def test_outputs_by_name(capfd):
    feeds = noise({"x": (1, 4)})
    with OrtRunner(model(), "here") as runner:
        results = runner.infer(feeds)
    np.testing.assert_array_equal(results["y"], np.maximum(feeds["x"], 0))
    # Not even of the unused initialiser.
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "node", [("NoSuchOperator", ["x"], ["y"], {}), ("Relu", ["nobody"], ["y"], {}), ("Relu", ["x", "x"], ["y"], {})]
)
def test_a_graph_that_cannot_run_is_refused(node):
    with pytest.raises(ConversionError, match="ONNX Runtime refuses the graph") as caught:
        OrtRunner(model([node]), "here")
    assert caught.value.where == "here"
    assert "\n" not in caught.value.what


def test_a_graph_that_fails_as_it_runs(capfd):
    broken = model([("Reshape", ["x", "s"], ["y"], {})])
    for value in (*broken.proto.graph.output, *broken.proto.graph.value_info):
        value.type.tensor_type.ClearField("shape")
    broken.proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "open"
    with OrtRunner(broken, "here") as runner, pytest.raises(ConversionError, match="ONNX Runtime fails") as caught:
        runner.infer(noise({"x": (1, 4)}))
    assert caught.value.where == "here"
    assert "\n" not in caught.value.what


def test_other_feeds_are_refused():
    with OrtRunner(model(), "here") as runner, pytest.raises(InputRefusedError):
        runner.infer(noise({"x": (1, 5)}))
