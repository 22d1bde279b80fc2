"""`Reshape` to a shape that depends on the input.

1. One number of the shape differs -> it becomes -1, what remains.
2. More of them differ -> an expression (id 6), in which each number is constant or the size of a blob computed before.

Refused: shapes of another rank at another size, and expressions that differ already.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwca_export.ncnn.any_size.variants import Variants
    from dwca_export.ncnn.param import Layer

_IDS = (0, 1, 11, 2)  # w, h, d, c
_IDS_BY_RANK = {1: (0,), 2: (0, 1), 3: (0, 1, 2), 4: _IDS}


def generalise(variants: Variants) -> list[Layer]:
    """Apply the rule.

    Raises:
        ConversionError: A number is the size of no blob, or the layer is refused.
    """
    variants.require(*_IDS)
    before, after = variants.input_shapes(), variants.output_shapes()
    for given, made in zip(before, after, strict=True):
        if prod(given) != prod(made) or len(made) != len(after[0]):
            variants.refuse(f"makes {given} to {made}, which is another number of values or of axes")
    # ncnn's order is the fastest axis first.
    numbers = list(zip(*map(reversed, after), strict=True))
    layer, ids = variants.first, _IDS_BY_RANK[len(numbers)]
    if sum(len(set(values)) > 1 for values in numbers) == 1:
        sizes = [values[0] if len(set(values)) == 1 else -1 for values in numbers]
        return [layer.with_params(dict(zip(ids, sizes, strict=True)))]
    found, bottoms = variants.expressions(numbers)
    return [replace(layer.without_params(_IDS).with_params({6: ",".join(found)}), bottoms=bottoms)]
