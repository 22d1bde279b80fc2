"""`Interp` to a size that depends on the input.

1. The output is the input times the same whole number at every size -> that scale (ids 1 and 2).
2. Otherwise -> an expression (id 9) for the width and the height, each the size of a blob that is computed before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwca_export.ncnn.any_size.variants import Variants
    from dwca_export.ncnn.param import Layer

_CHW = 3


def generalise(variants: Variants) -> list[Layer]:
    """Apply the rule.

    Raises:
        ConversionError: The size is that of no blob, and no multiple of the input.
    """
    layer = variants.first
    targets = [(variant.int(3, 0), variant.int(4, 0)) for variant in variants.layers]
    inputs = variants.input_shapes()
    if any(len(shape) != _CHW or 0 in target for shape, target in zip(inputs, targets, strict=True)):
        variants.refuse("is given by a scale that depends on the size")
    free = layer.without_params((1, 2, 3, 4))
    scales = {(h / shape[1], w / shape[2]) for (h, w), shape in zip(targets, inputs, strict=True)}
    if len(scales) == 1 and all(scale.is_integer() for scale in next(iter(scales))):
        height, width = scales.pop()
        return [free.with_params({1: height, 2: width})]
    (height_size, width_size), bottoms = variants.expressions(list(zip(*targets, strict=True)))
    return [replace(free.with_params({9: f"{width_size},{height_size}"}), bottoms=bottoms)]
