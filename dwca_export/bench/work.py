"""How much a layer has to do: multiply-adds, and bytes that it reads and writes."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from dwca_export.ncnn.layouts import slots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dwca_export.ncnn.param import Layer

Sizes = dict[str, tuple[tuple[int, ...], int]]
"""Shape, in C order and without batch axis, and bytes of blobs by name."""

_GROUPS = 7


def is_depthwise(layer: Layer) -> bool:
    """Whether the layer convolves every channel alone."""
    if layer.type != "ConvolutionDepthWise" or layer.int(19, 0):
        return False
    weight = slots(layer)[0].shape
    return weight[1] == 1 and layer.int(_GROUPS, 1) == weight[0]


def multiply_adds(layer: Layer, sizes: Mapping[str, tuple[tuple[int, ...], int]]) -> int | None:
    """Multiply-adds of a layer that weights are multiplied in; None of others, whose work is moving numbers.

    Args:
        layer: The layer.
        sizes: Of its blobs.
    """
    convolution, deconvolution = layer.type.startswith("Convolution"), layer.type.startswith("Deconvolution")
    if not (convolution or deconvolution or layer.type == "InnerProduct"):
        return None
    weight = next((slot.shape for slot in slots(layer) if slot.name == "weight"), None)
    if weight is None:  # a blob brings them
        return None
    if layer.type == "InnerProduct":
        shape = sizes[layer.bottoms[0]][0]
        rows = shape[0] if len(shape) == 2 and shape[1] == weight[1] else 1  # noqa: PLR2004  rows of a matrix
        return prod(weight) * rows
    # Each position of the output takes every weight once; of a deconvolution each position of the input gives it.
    shape = sizes[layer.bottoms[0] if deconvolution else layer.tops[0]][0]
    return prod(weight) * prod(shape[1:])


def misfit(layer: Layer, sizes: Mapping[str, tuple[tuple[int, ...], int]]) -> str:
    """What keeps a layer's weights from fitting what it reads; ncnn would read past their end without a word.

    Args:
        layer: The layer.
        sizes: Of its blobs.

    Returns:
        One clause; empty if they fit, or it has none.
    """
    weight = next((slot.shape for slot in slots(layer) if slot.name == "weight"), None)
    if weight is None or layer.type not in _WANTED:
        return ""
    wanted, shape = _WANTED[layer.type](layer, weight[1]), sizes[layer.bottoms[0]][0]
    given = {shape[0]} if layer.type != "InnerProduct" else {shape[-1], prod(shape)}
    return "" if wanted in given else f"its weights are for {wanted} channels, its input is {'x'.join(map(str, shape))}"


_WANTED: Mapping[str, Callable[[Layer, int], int]] = {
    "Convolution": lambda _, per_group: per_group,
    "ConvolutionDepthWise": lambda layer, per_group: per_group * layer.int(_GROUPS, 1),
    "InnerProduct": lambda _, inputs: inputs,
}
"""How many inputs the weights are for."""


def moved_bytes(layer: Layer, sizes: Mapping[str, tuple[tuple[int, ...], int]]) -> int:
    """Bytes of the blobs that a layer reads and writes, and of its weights in the storage of what it writes.

    Args:
        layer: The layer.
        sizes: Of its blobs.
    """
    shape, written = sizes[layer.tops[0]]
    weights = sum(prod(slot.shape) for slot in slots(layer))
    return sum(sizes[blob][1] for blob in (*layer.bottoms, *layer.tops)) + weights * written // prod(shape)
