"""What the rewrites of reductions into pooling share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnx import helper

from dwca_export.rewrites.graph import add_constant, attribute, reduced_axes, static_shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_RANK = 4


def replace_reductions(
    proto: Any, operator: str, axes: Sequence[list[int]], make: Callable[[Any, str, list[int], list[int]], list[Any]]
) -> bool:
    """Exchange reductions of N x C x H x W values of known sizes for other nodes.

    Args:
        proto: The model; changed in place.
        operator: Type of the reductions.
        axes: The sets of axes for which there is an exchange.
        make: Of the reduction, the name of its result with all axes kept, the shape of its input and the axes that it
            reduces, returns the nodes that compute the result.

    Returns:
        Whether anything changed.
    """
    graph = proto.graph
    shapes = static_shapes(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    modified = False
    for position, node in reversed(list(enumerate(graph.node))):
        shape = shapes.get(node.input[0], []) if node.op_type == operator else []
        if len(shape) != _RANK or not all(shape):
            continue
        reduced = reduced_axes(node, constants, _RANK)
        if reduced not in axes:
            continue
        keepdims = attribute(node, "keepdims", 1)
        target = node.output[0] if keepdims else f"{node.output[0]}_kept"
        nodes = [*make(node, target, shape, reduced), *([] if keepdims else [_drop(graph, node, shape, reduced)])]
        del graph.node[position]
        for added in reversed(nodes):
            graph.node.insert(position, added)
        modified = True
    return modified


def strip_pooling(kind: str, source: str, target: str, shape: list[int], axes: list[int]) -> Any:
    """The node that pools over the whole height, width or both.

    Args:
        kind: `Average` or `Max`.
        source: The N x C x H x W value.
        target: The result, all axes kept.
        shape: Shape of the source.
        axes: Among 2 and 3.
    """
    if axes == [2, 3]:
        return helper.make_node(f"Global{kind}Pool", [source], [target])
    kernel = [size if axis in axes else 1 for axis, size in enumerate(shape)][2:]
    return helper.make_node(f"{kind}Pool", [source], [target], kernel_shape=kernel, strides=kernel)


def _drop(graph: Any, node: Any, shape: list[int], axes: list[int]) -> Any:
    output = node.output[0]
    left = [size for axis, size in enumerate(shape) if axis not in axes]
    return helper.make_node("Reshape", [f"{output}_kept", add_constant(graph, f"{output}_shape", left)], [output])
