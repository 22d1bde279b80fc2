"""Gives reductions over one axis a second one, the batch axis.

pnnx reads an axes list of one element as a scalar and writes an empty list to ncnn (`Reduction ... 1=0 -23303=0`),
which then returns its input unchanged or crashes. The batch axis has one element, so reducing over it too changes
nothing but the form:

1. `Reduce*(x, axes=[a], keepdims=1)` -> `Reduce*(x, axes=[0, a], keepdims=1)` for the means, sums and norms
2. `Reduce*(x, axes=[a], keepdims=0)` -> 1. followed by `Squeeze(axes=[a])`

pnnx then complains of the batch axis, leaves it out and is right; `to_ncnn` knows.

Left alone: other reductions, two axes or more, none (all axes), the batch axis itself, a batch axis of more than one
element.
"""

from __future__ import annotations

from typing import Any

from onnx import helper

from dwca_export.rewrites.graph import add_constant, attribute, opset, reduced_axes, static_shapes

# pnnx reads the one axis of other reductions rightly, or refuses them.
_OPERATORS = {"ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMean", "ReduceSum"}
_SQUEEZE_TAKES_AXES = 13  # as an input, from this opset on


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
        kept = _keep_dims(graph, node, axes[0])
        if kept:
            graph.node.insert(position + 1, _squeeze(graph, kept, axes[0], opset(proto)))
        modified = True
    return modified


def _keep_dims(graph: Any, node: Any, axis: int) -> tuple[str, str] | None:
    """Make the reduction keep its axes; return its new result and the value to be made of that, unless it did so."""
    keepdims = attribute(node, "keepdims", 1)
    output = node.output[0]
    others = [entry for entry in node.attribute if entry.name not in ("axes", "keepdims")]
    del node.attribute[:]
    node.attribute.extend([*others, helper.make_attribute("keepdims", 1)])
    # ReduceSum takes its axes as an input since opset 13, the others since 18.
    if len(node.input) > 1:
        node.input[1] = add_constant(graph, f"{output}_axes", [0, axis])
    else:
        node.attribute.append(helper.make_attribute("axes", [0, axis]))
    if keepdims:
        return None
    node.output[0] = f"{output}_kept"
    return node.output[0], output


def _squeeze(graph: Any, values: tuple[str, str], axis: int, version: int) -> Any:
    source, target = values
    if version < _SQUEEZE_TAKES_AXES:
        return helper.make_node("Squeeze", [source], [target], axes=[axis])
    return helper.make_node("Squeeze", [source, add_constant(graph, f"{target}_dropped", [axis])], [target])
