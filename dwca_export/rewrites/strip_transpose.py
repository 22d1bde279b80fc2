"""Turns transpositions of strips into reshapes.

A strip has one row or one column, so swapping its height and width moves no number. ncnn's `Permute` unpacks the
channels and copies; its `Reshape` does neither.

1. `Transpose(x, perm=[0, 1, 3, 2])` of an N x C x H x 1 value -> `Reshape(x, [0, 0, 1, -1])`
2. the same of an N x C x 1 x W value -> `Reshape(x, [0, 0, -1, 1])`

Left alone: other permutations, maps of more than one row and column, values of unknown shape.
"""

from __future__ import annotations

from typing import Any

from dwca_export.rewrites.graph import add_constant, attribute, static_shapes

_SWAP = [0, 1, 3, 2]
_SHAPES = {"row": [0, 0, 1, -1], "column": [0, 0, -1, 1]}


def apply(proto: Any) -> bool:
    """Rewrite the model in place; return whether anything changed."""
    graph = proto.graph
    shapes = static_shapes(graph)
    modified = False
    for node in graph.node:
        target = _target(node, shapes.get(node.input[0], [])) if node.op_type == "Transpose" else None
        if target is None:
            continue
        node.op_type = "Reshape"
        del node.attribute[:]
        node.input.append(add_constant(graph, f"{node.output[0]}_shape", _SHAPES[target]))
        modified = True
    return modified


def _target(node: Any, shape: list[int]) -> str | None:
    """What the transposed strip is, None if it is no strip."""
    if attribute(node, "perm", []) != _SWAP or len(shape) != len(_SWAP):
        return None
    if shape[3] == 1:
        return "row"
    return "column" if shape[2] == 1 else None
