"""Params of layers in a chain."""

from __future__ import annotations

from dwca_export.ncnn.param import Param


def param(*lines):
    """Layers in a chain: `Type name params`, reading the blob of the line before."""
    made, blob = ["Input in0 0 1 in0"], "in0"
    for line in lines:
        kind, name, *params = line.split()
        made.append(f"{kind} {name} 1 1 {blob} {name} {' '.join(params)}")
        blob = name
    return Param.parse("\n".join(["7767517", f"{len(made)} {len(made)}", *made, ""]))


def depthwise(n, size=5, stride=1, extra=""):
    """One depthwise convolution of `n` channels."""
    weights = size * size * n
    return param(f"ConvolutionDepthWise dw 0={n} 1={size} 3={stride} 4={size // 2} 6={weights} 7={n} {extra}")
