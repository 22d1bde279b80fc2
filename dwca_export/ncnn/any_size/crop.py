"""`Crop` with bounds that depend on the input: the same with expressions.

1. `Crop(starts, ends, axes)` (ids 9, 10, 11) -> expressions (ids 19, 20, 21), where each bound is a number or the size
   of a blob that is computed before.

Refused: the older form of `Crop` with offsets and sizes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwca_export.ncnn.any_size.variants import Variants
    from dwca_export.ncnn.param import Layer


def generalise(variants: Variants) -> list[Layer]:
    """Apply the rule.

    Raises:
        ConversionError: A bound is the size of no blob.
    """
    layer = variants.first
    if any(not variant.has(9) or not variant.has(10) or not variant.has(11) for variant in variants.layers):
        variants.refuse("is given by offsets that depend on the size")
    variants.require(9, 10)
    axes = layer.ints(11)
    bounds = [(*variant.ints(9), *variant.ints(10)) for variant in variants.layers]
    found, bottoms = variants.expressions(list(zip(*bounds, strict=True)))
    starts, ends = found[: len(axes)], found[len(axes) :]
    cropped = layer.without_params((9, 10, 11)).with_params(
        {19: ",".join(starts), 20: ",".join(ends), 21: ",".join(map(str, axes))}
    )
    return [replace(cropped, bottoms=bottoms)]
