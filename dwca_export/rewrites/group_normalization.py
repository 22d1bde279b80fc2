"""Writes `GroupNormalization` out, in the form that torch's exporter gives it up to opset 20 and that pnnx knows.

ONNX infers no shape behind the operator (seen with onnx 1.23, opset 21), and without shapes neither the other rewrites
nor the search for blocks see anything.

1. `GroupNormalization(x, scale, bias)` -> `Reshape` to one row per group, `InstanceNormalization` of the rows,
   `Reshape` back, `Mul` by the scale and `Add` of the bias of each channel

Left alone: values of unknown shape, and scales or biases that are no constants with one number per channel (up to
opset 20 the operator has one per group).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper, numpy_helper, shape_inference

from dwca_export.rewrites.graph import add_constant, attribute, static_shapes

_EPSILON = 1e-5  # the operator's default
_MIN_RANK = 3


def apply(proto: Any) -> bool:
    """Rewrite the model in place; return whether anything changed."""
    modified = False
    # One at a time: the shape that the next one needs is inferred from this one.
    while _rewrite_one(proto.graph):
        proto.CopyFrom(shape_inference.infer_shapes(proto))
        modified = True
    return modified


def _rewrite_one(graph: Any) -> bool:
    shapes = static_shapes(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for position, node in enumerate(graph.node):
        shape = shapes.get(node.input[0], []) if node.op_type == "GroupNormalization" else []
        if len(shape) < _MIN_RANK or not all(shape):
            continue
        if any(name not in constants or list(constants[name].dims) != [shape[1]] for name in node.input[1:]):
            continue
        affine = [numpy_helper.to_array(constants[name]) for name in node.input[1:]]
        written_out = _write_out(graph, node, shape, affine)
        del graph.node[position]
        for added in reversed(written_out):
            graph.node.insert(position, added)
        return True
    return False


def _write_out(graph: Any, node: Any, shape: list[int], affine: list[np.ndarray]) -> list[Any]:
    output, groups = node.output[0], attribute(node, "num_groups", 1)
    epsilon = next((entry.f for entry in node.attribute if entry.name == "epsilon"), _EPSILON)
    one, zero = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    scale, bias = (values.reshape(-1, *[1] * (len(shape) - 2)) for values in affine)
    for name, values in (("one", one), ("zero", zero), ("scale", scale), ("bias", bias)):
        graph.initializer.append(numpy_helper.from_array(values, f"{output}_{name}"))
    rows = add_constant(graph, f"{output}_rows", [0, groups, -1])
    back = add_constant(graph, f"{output}_shape", shape)
    grouped, normed, restored, scaled = (f"{output}_{name}" for name in ("grouped", "normed", "restored", "scaled"))
    return [
        helper.make_node("Reshape", [node.input[0], rows], [grouped]),
        helper.make_node(
            "InstanceNormalization", [grouped, f"{output}_one", f"{output}_zero"], [normed], epsilon=epsilon
        ),
        helper.make_node("Reshape", [normed, back], [restored]),
        helper.make_node("Mul", [restored, f"{output}_scale"], [scaled]),
        helper.make_node("Add", [scaled, f"{output}_bias"], [output]),
    ]
