"""Fuses a `HardSwish` into the convolution or inner product that alone feeds it (pnnx fuses the other activations).

1. A layer of `_PRODUCERS` without activation (`9=0`), whose only reader is `HardSwish(alpha, beta)`: activation type 6
   with the parameters alpha and beta (ncnn's `fused_activation.h`).

Saves one pass over the activations where the cache does not hold them. Left alone: a producer that has an activation,
that is read by others too or whose result is an output of the network.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwca_export.ncnn.graph import Graph

_PRODUCERS = {"Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise", "InnerProduct"}
_HARDSWISH = 6
_ALPHA, _BETA = 0.2, 0.5  # ncnn's defaults of the HardSwish layer


def apply(graph: Graph) -> tuple[Graph, bool]:
    """Run the pass."""
    modified = False
    for layer in graph.layers:
        if layer.type not in _PRODUCERS or layer.int(9, 0) != 0:
            continue
        reader = graph.only_reader(layer.tops[0])
        if reader is None or reader.type != "HardSwish":
            continue
        parameters = [reader.float(0, _ALPHA), reader.float(1, _BETA)]
        fused = replace(layer.with_params({9: _HARDSWISH, 10: parameters}), tops=reader.tops)
        graph = graph.edited(changed=[fused], removed=[reader])
        modified = True
    return graph, modified
