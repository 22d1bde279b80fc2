"""ncnn's stock kernel for a depthwise layer: what it computes, how long it takes, and that Winograd is no part of it.

The layer is timed without the packing and the copies around it (see `slope`); the border that ncnn copies the input
into is part of it, as it is in every network.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dwca_export.bench.copies import INPUT, OUTPUT, Piece, alone
from dwca_export.bench.slope import OpenNet, Setting, Slope
from dwca_export.ncnn.param import Layer as NcnnLayer
from dwca_export.ncnn.weights import Weight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwca_export.kernels.layer import Layer
    from dwca_export.ncnn.values import Value

# `activation_type` and `activation_params` of ncnn's src/layer/fused_activation.h.
_ACTIVATIONS: Mapping[str, Mapping[int, Value]] = {
    "none": {},
    "relu": {9: 1},
    "relu6": {9: 3, 10: (0.0, 6.0)},
    "hardswish": {9: 6, 10: (1 / 6, 0.5)},
}

_NAME = "depthwise"
_TAMED = 1e-3


def stock_piece(layer: Layer, weight: np.ndarray, bias: np.ndarray | None = None) -> Piece:
    """A depthwise layer as a piece of an ncnn network.

    Args:
        layer: Its shape.
        weight: float32, `(C, K, K)`.
        bias: float32, `(C,)`, or None.
    """
    C, K = layer.channels, layer.kernel
    top, bottom, left, right = layer.padding
    params: dict[int, Value] = {0: C, 1: K, 2: layer.dilation, 3: layer.stride, 4: left, 15: right, 14: top, 16: bottom}
    params |= {5: int(bias is not None), 6: weight.size, 7: C, **_ACTIVATIONS[layer.activation]}
    weights = [Weight(_NAME, "weight", "fp32", np.ascontiguousarray(weight, "<f4").reshape(C, 1, K, K))]
    if bias is not None:
        weights.append(Weight(_NAME, "bias", "raw", np.ascontiguousarray(bias, "<f4")))
    line = NcnnLayer("ConvolutionDepthWise", _NAME, (INPUT,), (OUTPUT,)).with_params(params)
    return Piece((line,), tuple(weights), C)


def stock_output(piece: Piece, array: np.ndarray, setting: Setting) -> np.ndarray:
    """What ncnn computes.

    Args:
        piece: The layer.
        array: float32, `(C, H, W)`.
        setting: ncnn's options.

    Returns:
        float32, `(C, OH, OW)`.

    Raises:
        ConversionError: ncnn does not load or run it.
    """
    net = OpenNet(alone(piece), array, setting)
    try:
        return net.infer()
    finally:
        net.close()


def stock_slope(
    layer: Layer,
    weight: np.ndarray,
    bias: np.ndarray | None,
    array: np.ndarray,
    setting: Setting,
    more: int | None = None,
) -> Slope:
    """What times the layer: in a chain if it keeps the shape, else side by side.

    Args:
        layer: Its shape.
        weight: float32, `(C, K, K)`.
        bias: float32, `(C,)`, or None.
        array: float32, `(C, H, W)`.
        setting: ncnn's options.
        more: See `Slope`.

    Raises:
        ConversionError: ncnn does not load or run it.
    """
    keeps_shape = (layer.out_height, layer.out_width) == (layer.height, layer.width)
    piece = stock_piece(layer, *(tamed(layer, weight, bias) if keeps_shape else (weight, bias)))
    return Slope(piece, array, setting, in_chain=keeps_shape, more=more)


def tamed(layer: Layer, weight: np.ndarray, bias: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Weights with which a layer hardly changes what it reads: the time does not depend on them, a chain would."""
    scale = _TAMED / max(float(np.abs(weight).max()), np.finfo(np.float32).tiny)
    result = weight * np.float32(scale)
    # The tap that lies on the pixel itself; with other paddings than "same" on another one, which does as well.
    result[:, layer.kernel // 2, layer.kernel // 2] = 1
    return result, None if bias is None else np.full_like(bias, _TAMED)


def uses_winograd(piece: Piece, array: np.ndarray, setting: Setting) -> bool | None:
    """Whether ncnn's switch for Winograd changes anything that a piece computes, be it the last bit.

    A Winograd kernel adds in another order, so it cannot give the same bits; `dense_control` shows that the switch
    works where ncnn has such kernels.

    Args:
        piece: The layer.
        array: float32, `(C, H, W)`; random, so that all bits take part.
        setting: ncnn's options otherwise.

    Returns:
        None where ncnn computes something else each time, which proves nothing.
    """
    on, off = (replace(setting, winograd=winograd) for winograd in (True, False))
    first, second, without = (stock_output(piece, array, one).view(np.uint32) for one in (on, on, off))
    return not np.array_equal(first, without) if np.array_equal(first, second) else None


def dense_control(channels: int = 64, size: int = 28) -> tuple[Piece, np.ndarray]:
    """A dense 3x3 convolution, for which ncnn has Winograd kernels, and an input for it."""
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((channels, channels, 3, 3), np.float32)
    params: dict[int, Value] = {0: channels, 1: 3, 4: 1, 6: weight.size}
    line = NcnnLayer("Convolution", "dense", (INPUT,), (OUTPUT,)).with_params(params)
    piece = Piece((line,), (Weight("dense", "weight", "fp32", weight),), channels)
    return piece, generator.standard_normal((channels, size, size), np.float32)
