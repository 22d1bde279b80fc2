"""Removes layers whose results nobody reads.

1. A layer none of whose blobs is an output or is read by a layer that stays. pnnx leaves such layers behind where a tap
   was the only reader.

Left alone: `Input` layers, because callers feed them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwca_export.ncnn.graph import Graph


def apply(graph: Graph) -> tuple[Graph, bool]:
    """Run the pass."""
    wanted = set(graph.outputs)
    dead = []
    for layer in reversed(graph.layers):
        if layer.type == "Input" or wanted.intersection(layer.tops):
            wanted.update(layer.bottoms)
        else:
            dead.append(layer)
    return (graph.edited(removed=dead), True) if dead else (graph, False)
