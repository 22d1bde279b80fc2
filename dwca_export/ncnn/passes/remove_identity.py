"""Removes layers that do nothing.

1. `Noop`, `Dropout` with scale 1.
2. `Permute` with order 0 (the identity of any rank).
3. `Concat` of one blob, `Slice` into one blob that takes all there is (a number may leave some).
4. `BinaryOp` with a scalar: + 0, - 0, * 1, / 1.
5. `Pooling` of one pixel with stride 1 and no padding.
6. `Padding` by nothing.

Left alone: the same types with any other value, and whatever would leave an output to be an input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwca_export.ncnn.graph import Graph
    from dwca_export.ncnn.param import Layer

_NEUTRAL = {0: 0.0, 1: 0.0, 2: 1.0, 3: 1.0}  # BinaryOp: add, sub, mul, div
_REST = -233  # Slice's size for what remains
_PADDING_IDS = (0, 1, 2, 3, 7, 8)  # top, bottom, left, right, front, behind


def apply(graph: Graph) -> tuple[Graph, bool]:
    """Run the pass."""
    modified = False
    for name in [layer.name for layer in graph.layers]:
        layer = graph.layer(name)
        if layer is None or not _is_identity(layer) or (layer.tops[0] in graph.outputs and _reads_input(graph, layer)):
            continue
        bottom, top = layer.bottoms[0], layer.tops[0]
        # Renamed first, so that the taps of its result stay.
        graph = graph.renamed({top: bottom}).edited(removed=[layer])
        modified = True
    return graph, modified


def _reads_input(graph: Graph, layer: Layer) -> bool:
    return graph.producer(layer.bottoms[0]).type == "Input"


def _is_identity(layer: Layer) -> bool:
    if len(layer.bottoms) != 1 or len(layer.tops) != 1:
        return False
    if layer.type == "BinaryOp":
        scalar = layer.int(1, 0) == 1 and layer.int(0, 0) in _NEUTRAL
        return scalar and layer.float(2, 0.0) == _NEUTRAL[layer.int(0, 0)]
    if layer.type == "Pooling":
        return _is_pixel_pooling(layer)
    if layer.type == "Padding":
        return not layer.has(6) and not any(layer.int(key, 0) for key in _PADDING_IDS)
    return (
        layer.type in ("Noop", "Concat")
        or (layer.type == "Slice" and layer.ints(0, ()) == (_REST,))
        or (layer.type == "Dropout" and layer.float(0, 1.0) == 1.0)
        or (layer.type == "Permute" and layer.int(0, 0) == 0)
    )


def _is_pixel_pooling(layer: Layer) -> bool:
    kernel_w, stride_w, pad = layer.int(1, 0), layer.int(2, 1), layer.int(3, 0)
    pixel = kernel_w == layer.int(11, kernel_w) == 1 and stride_w == layer.int(12, stride_w) == 1
    pads = (pad, layer.int(13, pad), layer.int(14, pad), layer.int(15, layer.int(13, pad)))
    return pixel and not any(pads) and not layer.int(4, 0) and not layer.int(7, 0)
