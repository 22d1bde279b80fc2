"""`Reshape` to a shape that depends on the input.

1. One number of the shape differs -> it becomes -1, what remains.
2. More of them differ -> an expression (id 6), in which each number is constant or the size of a blob computed before.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwca_export.ncnn.any_size.variants import Variants
    from dwca_export.ncnn.param import Layer

_IDS = (0, 1, 11, 2)  # w, h, d, c
_ABSENT = -233


def generalise(variants: Variants) -> list[Layer]:
    """Apply the rule.

    Raises:
        ConversionError: A number is the size of no blob, or the layer has an expression already.
    """
    layer = variants.first
    if any(variant.has(6) for variant in variants.layers):
        variants.refuse("has an expression that depends on the size")
    ids = [key for key in _IDS if layer.int(key, _ABSENT) != _ABSENT]
    shapes = [tuple(variant.int(key, _ABSENT) for key in ids) for variant in variants.layers]
    for shape, given in zip(shapes, variants.input_shapes(), strict=True):
        if any(number < 1 for number in shape) or prod(shape) != prod(given):
            variants.refuse(f"makes {given} to {tuple(reversed(shape))}, which is not the same number of values")
    numbers = list(zip(*shapes, strict=True))
    differing = [key for key, values in zip(ids, numbers, strict=True) if len(set(values)) > 1]
    if len(differing) == 1:
        return [layer.with_params({differing[0]: -1})]
    found, bottoms = variants.expressions(numbers)
    return [replace(layer.without_params(_IDS).with_params({6: ",".join(found)}), bottoms=bottoms)]
