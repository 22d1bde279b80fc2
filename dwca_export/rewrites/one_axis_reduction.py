"""Gives reductions over one axis a second one, the batch axis.

pnnx reads an axes list of one element as a scalar and writes an empty list to ncnn (`Reduction ... 1=0 -23303=0`),
which then returns its input unchanged or crashes. The batch axis has one element, so reducing over it too changes
nothing but the form:

1. `Reduce*(x, axes=[a], keepdims=1)` -> `Reduce*(x, axes=[0, a], keepdims=1)`
2. `Reduce*(x, axes=[a], keepdims=0)` -> 1. followed by `Squeeze(axes=[a])`

Left alone: two axes or more, none (all axes), the batch axis itself, a batch axis of other than one element.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper, numpy_helper

_OPERATORS = {
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
}


def apply(proto: Any) -> bool:
    """Rewrite the model in place; return whether anything changed."""
    graph = proto.graph
    ranks, batches = _input_dims(graph)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    modified = False
    for position, node in reversed(list(enumerate(graph.node))):
        axis = _single_axis(node, weights, ranks)
        if axis is None or batches.get(node.input[0]) != 1:
            continue
        for added in reversed(_rewrite(graph, node, axis)):
            graph.node.insert(position + 1, added)
        modified = True
    return modified


def _input_dims(graph: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Rank and batch size of every value whose shape is known."""
    ranks, batches = {}, {}
    for value in (*graph.input, *graph.value_info):
        dims = value.type.tensor_type.shape.dim
        ranks[value.name] = len(dims)
        batches[value.name] = dims[0].dim_value if dims else 0
    return ranks, batches


def _single_axis(node: Any, weights: dict[str, Any], ranks: dict[str, int]) -> int | None:
    """The axis of a reduction over exactly one that is not the batch axis, counted from the front."""
    if node.op_type not in _OPERATORS or node.input[0] not in ranks:
        return None
    attribute = next((list(a.ints) for a in node.attribute if a.name == "axes"), [])
    if len(node.input) > 1 and node.input[1] in weights:
        attribute = numpy_helper.to_array(weights[node.input[1]]).ravel().tolist()
    if len(attribute) != 1:
        return None
    axis = int(attribute[0]) % ranks[node.input[0]]
    return axis or None


def _rewrite(graph: Any, node: Any, axis: int) -> list[Any]:
    """Change the reduction; return the nodes to be put behind it."""
    keepdims = next((a.i for a in node.attribute if a.name == "keepdims"), 1)
    axes_input = len(node.input) > 1
    kept = [a for a in node.attribute if a.name not in ("axes", "keepdims")]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("keepdims", 1)])
    if axes_input:
        node.input[1] = _constant(graph, f"{node.output[0]}_axes", [0, axis])
    else:
        node.attribute.append(helper.make_attribute("axes", [0, axis]))
    if keepdims:
        return []
    output = node.output[0]
    node.output[0] = f"{output}_kept"
    # Before opset 13 Squeeze took its axes as an attribute too.
    if axes_input:
        return [helper.make_node("Squeeze", [node.output[0], _constant(graph, f"{output}_squeezed", [axis])], [output])]
    return [helper.make_node("Squeeze", [node.output[0]], [output], axes=[axis])]


def _constant(graph: Any, name: str, values: list[int]) -> str:
    graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    return name
