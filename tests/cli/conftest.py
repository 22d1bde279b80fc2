from __future__ import annotations

import warnings

import onnx
import pytest
import tiny_net
import torch
from commands import run_here
from onnx import shape_inference

from dwca_export.cli.export import app


@pytest.fixture
def invoke(monkeypatch, capsys):
    """`invoke(*arguments)`: run the command in this process, which has torch already."""

    def call(*arguments):
        return run_here(app, "dwca-export", arguments, monkeypatch, capsys)

    return call


@pytest.fixture(scope="session")
def tiny():
    torch.manual_seed(0)
    return tiny_net.tiny().eval()


@pytest.fixture(scope="session")
def models(tmp_path_factory, tiny):
    """A folder with one network in every form that can be exported."""
    folder = tmp_path_factory.mktemp("models")
    image = torch.randn(tiny_net.SHAPE, generator=torch.Generator().manual_seed(0))
    torch.save(tiny.state_dict(), folder / "state.pt")
    torch.save(tiny, folder / "module.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(tiny, image).save(str(folder / "script.pt"))
        torch.export.save(torch.export.export(tiny, (image,)), folder / "program.pt2")
        names = {"input_names": ["image"], "output_names": ["scores"]}
        graph = torch.onnx.export(tiny, (image,), dynamo=True, verbose=False, **names).model_proto
    onnx.save(graph, folder / "graph.onnx")
    return folder


@pytest.fixture(scope="session")
def relu_onnx(tmp_path_factory):
    """A network without weights that is exported in no time: max(0, x) of 1 x 3 x 8 x 6."""
    shape = (1, 3, 8, 6)
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "relu", values[:1], values[1:])
    opset = [onnx.helper.make_opsetid("", 18)]
    model = shape_inference.infer_shapes(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10))
    path = tmp_path_factory.mktemp("relu") / "relu.onnx"
    onnx.save(model, path)
    return path
