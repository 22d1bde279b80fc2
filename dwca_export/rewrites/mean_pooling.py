"""Turns means over the height, the width or both into the pooling that ncnn runs packed.

ncnn's `Reduction` unpacks the channels and runs scalar loops; its `Pooling` does neither.

1. `ReduceMean(x, axes=[2, 3])` -> `GlobalAveragePool(x)`
2. `ReduceMean(x, axes=[3])` -> `AveragePool(x, kernel 1 x W)`
3. `ReduceMean(x, axes=[2])` -> `AveragePool(x, kernel H x 1)`

each followed by `Reshape` to the shape without the reduced axes where `keepdims=0`.

Left alone: reductions other than the mean, over the channels or the batch, and values that are not N x C x H x W with
known sizes.
"""

from __future__ import annotations

from typing import Any

from dwca_export.rewrites.pooling import replace_reductions, strip_pooling

_SPATIAL = ([2], [3], [2, 3])


def apply(proto: Any) -> bool:
    """Rewrite the model in place; return whether anything changed."""
    return replace_reductions(proto, "ReduceMean", _SPATIAL, _pool)


def _pool(node: Any, target: str, shape: list[int], axes: list[int]) -> list[Any]:
    return [strip_pooling("Average", node.input[0], target, shape, axes)]
