"""ncnn networks of one net for several input sizes -> one network for every size.

pnnx cannot do this from ONNX: it writes the size into kernels, slices and shapes. Two networks that differ in their
input size alone differ in exactly those numbers, so each number that differs has to be rewritten by a rule of
`dwca_export.ncnn.any_size`, or there is no such network.

A rule tells what a number follows by its values at the sizes. Heights and widths cannot be taken for each other if they
do not grow in the same order, because every size in a network grows with the input's. A floor is told from a ceiling by
odd sizes only; a network that runs on none is right at the multiples that it was made from.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, zip_longest
from typing import TYPE_CHECKING

from dwca_export.errors import ConversionError
from dwca_export.ncnn.any_size import CHECKS, RULES
from dwca_export.ncnn.any_size.variants import Variants
from dwca_export.ncnn.graph import from_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from dwca_export.artifacts import NcnnModel
    from dwca_export.ncnn.graph import Graph
    from dwca_export.ncnn.param import Layer
    from dwca_export.ncnn.weights import Weight

_HINT = "export for one size (without --dynamic)"
_CHW = 3


def generalise(models: Sequence[NcnnModel], blobs: Sequence[Mapping[str, np.ndarray]]) -> tuple[Graph, tuple[str, ...]]:
    """Make one graph for every size.

    Args:
        models: The same network for different input sizes, taps and all, as `to_ncnn` returns them. One size is taller
            than another that is wider.
        blobs: For each of them all of its blobs on some input, without batch axis.

    Returns:
        The graph, and the names of the layers that were rewritten.

    Raises:
        ConversionError: The networks differ in more than sizes, the sizes do not tell height from width, or no rule
            knows a layer; the layer is named.
    """
    graphs = [from_model(model) for model in models]
    first = graphs[0]
    aligned = [_align(first, graph) for graph in graphs]
    shapes = {
        blob: tuple(arrays[names[blob]].shape for names, arrays in zip(aligned, blobs, strict=True))
        for layer in first.layers
        for blob in layer.tops
    }
    _check_sizes(first, shapes)
    layers: list[Layer] = []
    rewritten = []
    for twins in zip(*(graph.layers for graph in graphs), strict=True):
        _check_weights(twins[0], [graph.weights.get(twin.name, ()) for graph, twin in zip(graphs, twins, strict=True)])
        variants = Variants(first, twins, shapes)
        layers += _for_every_size(variants)
        if variants.differ:
            rewritten.append(variants.first.name)
    return replace(first, layers=tuple(layers)), tuple(rewritten)


def _for_every_size(variants: Variants) -> list[Layer]:
    layer = variants.first
    if not variants.differ:
        if layer.type in CHECKS:
            CHECKS[layer.type](variants)
        return [layer]
    if layer.type not in RULES:
        key, texts = _differing(variants.layers)
        raise _different(layer, f"parameter {key} depends on the input size: {' / '.join(texts)}")
    return RULES[layer.type](variants)


def _check_sizes(graph: Graph, shapes: Mapping[str, Sequence[tuple[int, ...]]]) -> None:
    """Refuse sizes that tell nothing."""
    inputs = [layer for layer in graph.layers if layer.type == "Input"]
    differing = [layer for layer in inputs if len(set(shapes[layer.tops[0]])) > 1]
    if not differing:
        raise _different(inputs[0], "the networks are all for one input size")
    for layer in differing:
        given = shapes[layer.tops[0]]
        images = all(len(shape) == _CHW for shape in given)
        if images and not any((a[1] - b[1]) * (a[2] - b[2]) < 0 for a, b in combinations(given, 2)):
            raise _different(layer, f"the sizes {' / '.join(map(str, given))} do not tell its height from its width")


def _align(first: Graph, other: Graph) -> dict[str, str]:
    """Blob of the first graph -> blob of the other; refuses graphs that are not the same."""
    names: dict[str, str] = {}
    for layer, twin in zip_longest(first.layers, other.layers):
        if layer is None or twin is None or layer.type != twin.type or len(layer.tops) != len(twin.tops):
            raise _different(layer or twin, "there is another layer, or none, at another input size")
        if tuple(names.get(blob) for blob in layer.bottoms) != twin.bottoms:
            raise _different(layer, "reads other blobs at another input size")
        names.update(zip(layer.tops, twin.tops, strict=True))
    outputs = [names.get(blob) for blob in (*first.outputs, *(tap.blob for tap in first.taps))]
    if outputs != [*other.outputs, *(tap.blob for tap in other.taps)]:
        raise _different(first.layers[-1], "the outputs are others at another input size")
    return names


def _check_weights(layer: Layer, weights: Sequence[Sequence[Weight]]) -> None:
    for tensors in weights[1:]:
        for tensor, twin in zip_longest(weights[0], tensors):
            same = tensor is not None and twin is not None and tensor.shape == twin.shape
            if not same or (tensor.data != twin.data).any():
                raise _different(layer, "its weights depend on the input size")


def _differing(variants: Sequence[Layer]) -> tuple[int, list[str]]:
    keys = [key for layer in variants for key in layer.params]
    key = next(key for key in keys if len({layer.params.get(key) for layer in variants}) > 1)
    return key, [layer.params.get(key, "absent") for layer in variants]


def _different(layer: Layer, what: str) -> ConversionError:
    return ConversionError(what, where=f"generalise, layer {layer.name} ({layer.type})", hint=_HINT)
