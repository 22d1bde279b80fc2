"""Turns maxima over the height, the width, both or the channels into pooling: pnnx knows no `ReduceMax`.

1. `ReduceMax(x, axes=[2, 3])` -> `GlobalMaxPool(x)`
2. `ReduceMax(x, axes=[3])` -> `MaxPool(x, kernel 1 x W)`
3. `ReduceMax(x, axes=[2])` -> `MaxPool(x, kernel H x 1)`
4. `ReduceMax(x, axes=[1])` -> `Transpose` that exchanges channels and height, 3., the same `Transpose`

each followed by `Reshape` to the shape without the reduced axes where `keepdims=0`.

Left alone, and so refused by `to_ncnn`: other axes, and values that are not N x C x H x W with known sizes.
"""

from __future__ import annotations

from typing import Any

from onnx import helper

from dwca_export.rewrites.pooling import replace_reductions, strip_pooling

_CHANNELS = [1]
_AXES = (_CHANNELS, [2], [3], [2, 3])
_SWAP = [0, 2, 1, 3]


def apply(proto: Any) -> bool:
    """Rewrite the model in place; return whether anything changed."""
    return replace_reductions(proto, "ReduceMax", _AXES, _pool)


def _pool(node: Any, target: str, shape: list[int], axes: list[int]) -> list[Any]:
    source = node.input[0]
    if axes != _CHANNELS:
        return [strip_pooling("Max", source, target, shape, axes)]
    turned, pooled = f"{target}_turned", f"{target}_pooled"
    return [
        helper.make_node("Transpose", [source], [turned], perm=_SWAP),
        strip_pooling("Max", turned, pooled, [shape[axis] for axis in _SWAP], [2]),
        helper.make_node("Transpose", [pooled], [target], perm=_SWAP),
    ]
