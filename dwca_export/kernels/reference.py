"""The definition of a depthwise convolution, in float64: what every kernel is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dwca_export.kernels.layer import Layer

    Float64 = np.ndarray[Any, np.dtype[np.float64]]


def reference(layer: Layer, x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> Float64:
    """Compute a layer.

    Args:
        layer: The layer.
        x: `(C, H, W)`.
        weight: `(C, K, K)`.
        bias: `(C,)`, or None.

    Returns:
        float64, `(C, OH, OW)`.
    """
    top, bottom, left, right = layer.padding
    padded = np.pad(x.astype(np.float64), ((0, 0), (top, bottom), (left, right)))
    rows, columns = layer.out_height * layer.stride, layer.out_width * layer.stride
    result: Float64 = np.zeros((layer.channels, layer.out_height, layer.out_width))
    for i in range(layer.kernel):
        for j in range(layer.kernel):
            y, z = i * layer.dilation, j * layer.dilation
            taps = padded[:, y : y + rows : layer.stride, z : z + columns : layer.stride]
            result += weight[:, i, j, None, None].astype(np.float64) * taps[:, : layer.out_height, : layer.out_width]
    if bias is not None:
        result += bias[:, None, None]
    return _activate(result, layer.activation)


def _activate(values: Float64, activation: str) -> Float64:
    if activation == "relu":
        values = np.maximum(values, 0)
    if activation == "relu6":
        values = np.clip(values, 0, 6)
    if activation == "hardswish":
        values = values * np.clip(values + 3, 0, 6) / 6
    return values
