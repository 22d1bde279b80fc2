"""`Interp` to a size that depends on the input.

1. The output is the input times the same whole number at every size -> that scale (ids 1 and 2).
2. Otherwise -> an expression (id 9) for the width and the height, each the size of a blob that is computed before.

Refused: an output to which both applies, because at other sizes the two may differ.
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
    variants.require(1, 2, 3, 4)
    inputs, targets = variants.input_shapes(), [shape[1:] for shape in variants.output_shapes()]
    given = [(variant.int(3, 0), variant.int(4, 0)) for variant in variants.layers]
    if given != targets or any(len(shape) != _CHW for shape in inputs):
        variants.refuse("is given by a scale that depends on the size")
    free = variants.first.without_params((1, 2, 3, 4))
    numbers = list(zip(*targets, strict=True))
    scales = {(h / shape[1], w / shape[2]) for (h, w), shape in zip(targets, inputs, strict=True)}
    height, width = scales.pop()
    if scales or not (height.is_integer() and width.is_integer()):
        (height_size, width_size), bottoms = variants.expressions(numbers)
        return [replace(free.with_params({9: f"{width_size},{height_size}"}), bottoms=bottoms)]
    if all(variants.find(values) for values in numbers):
        variants.refuse(
            f"makes {height:g} x {width:g} times its input and the size of another blob at each of the sizes"
        )
    return [free.with_params({1: height, 2: width})]
