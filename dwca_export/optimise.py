"""Applies the passes of `dwca_export.ncnn.passes` to what pnnx wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dwca_export.ncnn.graph import from_model, to_model
from dwca_export.ncnn.passes import PASSES

if TYPE_CHECKING:
    from dwca_export.artifacts import NcnnModel
    from dwca_export.ncnn.graph import Graph

_CHW = 3


def optimise(model: NcnnModel, any_size: Graph | None = None) -> tuple[NcnnModel, tuple[str, ...]]:
    """Run the passes in order, take the taps away as outputs, and name blobs and layers after them.

    Args:
        model: What `to_ncnn` returned.
        any_size: The graph that `generalise` made of it; without one the network stays for its input size, which its
            `Input` layers then carry.

    Returns:
        The model and the names of the passes that changed it.
    """
    graph = any_size or from_model(model)
    applied = []
    for name, apply in PASSES:
        graph, modified = apply(graph)
        if modified:
            applied.append(name)
    if any_size is None:
        graph = _with_input_shapes(graph, model)
    return to_model(graph, model), tuple(applied)


def _with_input_shapes(graph: Graph, model: NcnnModel) -> Graph:
    shapes = {f"in{index}": spec.shape[1:] for index, spec in enumerate(model.inputs)}
    changed = []
    for layer in graph.layers:
        shape = shapes.get(layer.tops[0], ()) if layer.type == "Input" else ()
        # ncnn's order is w, h, (d,) c under the ids 0, 1, (11,) 2.
        if len(shape) == _CHW:
            changed.append(layer.with_params({0: shape[2], 1: shape[1], 2: shape[0]}))
        elif shape and len(shape) < _CHW:
            changed.append(layer.with_params(dict(enumerate(reversed(shape)))))
    return replace(graph.edited(changed=changed), taps=graph.taps)
