"""ONNX graphs of a few nodes, what ONNX Runtime makes of them, and what pnnx and ncnn do."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, shape_inference

from dwca_export.artifacts import LoadedModel, OnnxModel, TensorSpec
from dwca_export.ncnn.weights import write_weights
from dwca_export.runners.ncnn import NcnnRunner


def proto(nodes, inputs, outputs, weights=None, opset=18):
    """A model with inferred shapes.

    Args:
        nodes: (operator, inputs, outputs, attributes) each.
        inputs: Name -> shape (a string is an open size); outputs alike, None for an unknown shape.
        weights: Name -> array.
        opset: Version of the operators.
    """
    graph = helper.make_graph(
        [helper.make_node(kind, ins, outs, **attributes) for kind, ins, outs, attributes in nodes],
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return shape_inference.infer_shapes(model)


def loaded(model):
    return LoadedModel(model, "onnx", "0" * 64)


def onnx_model(model):
    """An `OnnxModel` of static shapes, each value named after itself."""
    specs = [
        tuple(
            TensorSpec(value.name, tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)) for value in values
        )
        for values in (model.graph.input, model.graph.output)
    ]
    return OnnxModel(model, *specs, {value: value for node in model.graph.node for value in node.output})


def copy(model):
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    return twin


def run_ort(model, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def noise(shapes, seed=0):
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def run_ncnn(model, feeds, blobs=()):
    """What ncnn computes of an `NcnnModel`: its outputs by name, or these blobs without batch axis."""
    with tempfile.TemporaryDirectory() as name:
        param, data = Path(name) / "net.param", Path(name) / "net.bin"
        param.write_text(model.param.text())
        data.write_bytes(write_weights(model.weights))
        with NcnnRunner(param, data, model.inputs, model.outputs) as runner:
            return runner.infer_blobs(feeds, blobs) if blobs else runner.infer(feeds)
