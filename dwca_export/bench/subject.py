"""The depthwise layers whose kernels are measured: of a network, with its weights, or given by their shape."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dwca_export import kernels
from dwca_export.errors import InputRefusedError
from dwca_export.ncnn.layouts import slots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dwca_export.ncnn.param import Layer as NcnnLayer
    from dwca_export.ncnn.param import Param
    from dwca_export.ncnn.weights import Weight

MAX_VALUES = 1 << 24
"""Numbers in the input, or in the output, of a layer: 64 MiB of float32, of which several copies are needed."""

MAX_KERNEL = 31

STANDARD = (
    kernels.Layer(64, 56, 56, 5),
    kernels.Layer(128, 28, 28, 5),
    kernels.Layer(32, 112, 112, 5),
    kernels.Layer(64, 56, 56, 3),
    kernels.Layer(64, 56, 56, 5, stride=2),
    kernels.Layer(64, 56, 56, 7),
)
"""Layers as networks for images of 224x224 have them."""

_RELU, _CLIP, _HARDSWISH = 1, 3, 6


@dataclass(frozen=True, eq=False)
class Subject:
    """One layer.

    Attributes:
        layer: Its shape.
        weight: float32, `(C, K, K)`.
        bias: float32, `(C,)`, or None.
        sources: Names of the layers of the network that have this shape; empty if it was given by its shape.
    """

    layer: kernels.Layer
    weight: np.ndarray
    bias: np.ndarray | None = None
    sources: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What tells the layer from others: its shape, and what it computes besides."""
        layer = self.layer
        more = {"bias": layer.bias, layer.activation: layer.activation != "none"}
        return " ".join([str(layer), *(word for word, is_said in more.items() if is_said)])


def of_shape(layer: kernels.Layer) -> Subject:
    """A layer with random weights.

    Raises:
        InputRefusedError: It is too large.
    """
    check_size(layer)
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((layer.channels, layer.kernel, layer.kernel), np.float32)
    bias = generator.standard_normal(layer.channels, np.float32) if layer.bias else None
    return Subject(layer, weight, bias)


def check_size(layer: kernels.Layer) -> None:
    """Refuse a layer that would take too much memory or time.

    Raises:
        InputRefusedError: Naming the limit.
    """
    sizes = {
        "input": layer.channels * layer.height * layer.width,
        "output": layer.channels * layer.out_height * layer.out_width,
    }
    for name, size in sizes.items():
        if size > MAX_VALUES:
            raise InputRefusedError(
                f"the {name} has {size} values, the limit is {MAX_VALUES}",
                where=f"layer {layer}",
                hint="give fewer channels: each is computed by itself, and takes the same time",
            )
    if layer.kernel > MAX_KERNEL:
        raise InputRefusedError(
            f"the kernel is {layer.kernel}x{layer.kernel}, the limit is {MAX_KERNEL}x{MAX_KERNEL}",
            where=f"layer {layer}",
        )


def of_network(
    param: Param, weights: Sequence[Weight], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[tuple[Subject, ...], tuple[str, ...]]:
    """The depthwise layers of a network, each shape once.

    Args:
        param: The graph.
        weights: All of its weights.
        shapes: Of its blobs, `(C, H, W)`.

    Returns:
        The layers in the order of execution, each with the weights of the first of its shape, and why others of the
        network cannot be measured.
    """
    found: dict[kernels.Layer, Subject] = {}
    passed_over = []
    for line in filter(is_depthwise, param.layers):
        tensors = {weight.name: weight.data for weight in weights if weight.layer == line.name}
        try:
            subject = _subject(line, tensors, shapes[line.bottoms[0]])
            check_size(subject.layer)
        except InputRefusedError as error:
            passed_over.append(f"{line.name}: {error.what}")
            continue
        first = found.get(subject.layer)
        found[subject.layer] = replace(first, sources=(*first.sources, line.name)) if first else subject
    return tuple(found.values()), tuple(passed_over)


def is_depthwise(line: NcnnLayer) -> bool:
    """Whether a layer is a convolution of each channel by itself, with weights of its own."""
    if line.type != "ConvolutionDepthWise" or line.int(19, 0):
        return False
    (weight, *_) = slots(line)
    return weight.shape[:2] == (line.int(7, 1), 1)


def _subject(line: NcnnLayer, tensors: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> Subject:
    width = line.int(1, 0)
    pairs = {
        "kernel": (line.int(11, width), width),
        "stride": (line.int(13, line.int(3, 1)), line.int(3, 1)),
        "dilation": (line.int(12, line.int(2, 1)), line.int(2, 1)),
    }
    for name, (vertical, horizontal) in pairs.items():
        if vertical != horizontal:
            raise _refused(line, f"its {name} is {vertical} by {horizontal}, not square")
    if line.int(8, 0):
        raise _refused(line, "its weights are of 8 bits")
    channels, height, across = shape
    layer = kernels.Layer(
        channels,
        height,
        across,
        width,
        stride=pairs["stride"][0],
        padding=_padding(line),
        dilation=pairs["dilation"][0],
        bias="bias" in tensors,
        activation=_activation(line),
    )
    weight = _float32(line, tensors["weight"]).reshape(channels, width, width)
    bias = np.ascontiguousarray(tensors["bias"], np.float32) if "bias" in tensors else None
    return Subject(layer, weight, bias, (line.name,))


def _float32(line: NcnnLayer, weight: np.ndarray) -> np.ndarray:
    if weight.dtype == np.uint16:  # bf16, as bits
        return (weight.astype(np.uint32) << 16).view(np.float32)
    if weight.dtype.kind != "f":
        raise _refused(line, f"its weights are {weight.dtype}")
    return np.ascontiguousarray(weight, np.float32)


def _padding(line: NcnnLayer) -> tuple[int, int, int, int]:
    """Top, bottom, left, right."""
    left = line.int(4, 0)
    top = line.int(14, left)
    sides = (top, line.int(16, top), left, line.int(15, left))
    if min(sides) < 0:
        raise _refused(line, "its padding follows from the size of its input")
    if line.float(18, 0.0):
        raise _refused(line, "its border is not filled with zeros")
    return sides


def _activation(line: NcnnLayer) -> str:
    kind = line.int(9, 0)
    values = line.floats(10, ())
    if kind == 0:
        return "none"
    if kind == _RELU:
        return "relu"
    if kind == _CLIP and values == (0.0, 6.0):
        return "relu6"
    if kind == _HARDSWISH and np.allclose(values, (1 / 6, 0.5)):
        return "hardswish"
    raise _refused(line, f"its fused activation {kind} {values} is none of ours")


def _refused(line: NcnnLayer, what: str) -> InputRefusedError:
    return InputRefusedError(what, where=f"layer {line.name}", hint="its time is among those of --layers")
