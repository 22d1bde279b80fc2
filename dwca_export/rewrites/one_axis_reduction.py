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

from onnx import helper

from dwca_export.rewrites.graph import add_constant, attribute, reduced_axes, static_shapes

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
    shapes = static_shapes(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    modified = False
    for position, node in reversed(list(enumerate(graph.node))):
        shape = shapes.get(node.input[0], []) if node.op_type in _OPERATORS else []
        axes = reduced_axes(node, constants, len(shape)) if shape and shape[0] == 1 else []
        if len(axes) != 1 or axes == [0]:
            continue
        for added in _rewrite(graph, node, axes[0]):
            graph.node.insert(position + 1, added)
        modified = True
    return modified


def _rewrite(graph: Any, node: Any, axis: int) -> list[Any]:
    """Change the reduction; return the node to be put behind it, if any."""
    keepdims = attribute(node, "keepdims", 1)
    axes_are_input = len(node.input) > 1
    kept = [entry for entry in node.attribute if entry.name not in ("axes", "keepdims")]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("keepdims", 1)])
    output = node.output[0]
    if axes_are_input:
        node.input[1] = add_constant(graph, f"{output}_axes", [0, axis])
    else:
        node.attribute.append(helper.make_attribute("axes", [0, axis]))
    if keepdims:
        return []
    node.output[0] = f"{output}_kept"
    # Squeeze takes its axes as an input since opset 13, as ReduceSum does; the others followed with opset 18.
    if axes_are_input:
        return [
            helper.make_node("Squeeze", [node.output[0], add_constant(graph, f"{output}_dropped", [axis])], [output])
        ]
    return [helper.make_node("Squeeze", [node.output[0]], [output], axes=[axis])]
