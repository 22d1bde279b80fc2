"""Turns means over the height, the width or both into the pooling that ncnn runs packed.

ncnn's `Reduction` unpacks the channels and runs scalar loops; its `Pooling` does neither.

1. `ReduceMean(x, axes=[2, 3])` -> `GlobalAveragePool(x)`
2. `ReduceMean(x, axes=[3])` -> `AveragePool(x, kernel 1 x W)`
3. `ReduceMean(x, axes=[2])` -> `AveragePool(x, kernel H x 1)`

each followed by `Reshape` to the shape without the reduced axes where `keepdims=0`.

Left alone: reductions other than the mean, over the channels or the batch, and values that are not N x C x H x W with
known sizes.
"""

from __future__ import annotations

from typing import Any

from onnx import helper

from dwca_export.rewrites.graph import add_constant, attribute, reduced_axes, static_shapes

_RANK = 4
_SPATIAL = ([2], [3], [2, 3])


def apply(proto: Any) -> bool:
    """Rewrite the model in place; return whether anything changed."""
    graph = proto.graph
    shapes = static_shapes(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    modified = False
    for position, node in reversed(list(enumerate(graph.node))):
        shape = shapes.get(node.input[0], []) if node.op_type == "ReduceMean" else []
        if len(shape) != _RANK or not all(shape):
            continue
        axes = reduced_axes(node, constants, _RANK)
        if axes not in _SPATIAL:
            continue
        pooled = _pooling(graph, node, shape, axes)
        del graph.node[position]
        for added in reversed(pooled):
            graph.node.insert(position, added)
        modified = True
    return modified


def _pooling(graph: Any, node: Any, shape: list[int], axes: list[int]) -> list[Any]:
    output = node.output[0]
    keepdims = attribute(node, "keepdims", 1)
    pooled = output if keepdims else f"{output}_kept"
    if axes == [2, 3]:
        nodes = [helper.make_node("GlobalAveragePool", [node.input[0]], [pooled])]
    else:
        kernel = [size if axis in axes else 1 for axis, size in enumerate(shape)][2:]
        nodes = [helper.make_node("AveragePool", [node.input[0]], [pooled], kernel_shape=kernel, strides=kernel)]
    if not keepdims:
        kept = [size for axis, size in enumerate(shape) if axis not in axes]
        nodes.append(helper.make_node("Reshape", [pooled, add_constant(graph, f"{output}_shape", kept)], [output]))
    return nodes
