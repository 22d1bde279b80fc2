"""What the rewrites share: reading shapes and attributes of an ONNX graph, adding constants to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import AttributeProto, numpy_helper


def static_shapes(graph: Any) -> dict[str, list[int]]:
    """Shape of every value for which the graph tells it; an open size is 0."""
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output, *graph.value_info)
    }


def attribute(node: Any, name: str, default: Any) -> Any:
    """An integer or integer-list attribute of a node."""
    for entry in node.attribute:
        if entry.name == name:
            return list(entry.ints) if entry.type == AttributeProto.INTS else entry.i
    return default


def opset(proto: Any) -> int:
    """Version of the ONNX operators that a model uses."""
    return next(int(entry.version) for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))


def reduced_axes(node: Any, constants: dict[str, Any], rank: int) -> list[int]:
    """The axes that a reduction reduces, counted from the front; empty where they are not known or all.

    Args:
        node: A `Reduce*` node; opset 18 moved the axes from the attributes to the inputs.
        constants: Initialisers by name.
        rank: Rank of the node's input.
    """
    axes = attribute(node, "axes", [])
    if len(node.input) > 1 and node.input[1] in constants:
        axes = numpy_helper.to_array(constants[node.input[1]]).ravel().tolist()
    return sorted(int(axis) % rank for axis in axes)


def add_constant(graph: Any, name: str, values: list[int]) -> str:
    """Add an int64 vector to the graph; return its name."""
    graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    return name
