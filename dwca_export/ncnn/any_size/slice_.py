"""`Slice` into parts whose sizes depend on the input: one `Crop` for each part, bounded by the shapes of blobs.

1. Part k of `Slice(axis)` -> `Crop(start, end, axis)` (expressions under the ids 19, 20, 21), where start and end are
   sums of the parts' sizes and each size is a number or the size of a blob that is computed before; the last part ends
   where the input does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.ncnn.param import Layer

if TYPE_CHECKING:
    from dwca_export.ncnn.any_size.variants import Shape, Variants

_REST = -233  # what remains; as the end of a Crop: the end of its input


def generalise(variants: Variants) -> list[Layer]:
    """Apply the rule.

    Raises:
        ConversionError: The size of a part is that of no blob.
    """
    layer = variants.first
    axis = layer.int(1, 0)
    parts = [_sizes(*pair) for pair in zip(variants.layers, variants.input_shapes(), strict=True)]
    numbers = list(zip(*parts, strict=True))
    crops = []
    for index, top in enumerate(layer.tops):
        last = index + 1 == len(layer.tops)
        found, bottoms = variants.expressions(numbers[: index if last else index + 1])
        end = str(_REST) if last else _sum(found)
        crop = Layer("Crop", f"{layer.name}_{index}", bottoms, (top,))
        crops.append(crop.with_params({19: _sum(found[:index]), 20: end, 21: str(axis)}))
    return crops


def _sizes(layer: Layer, shape: Shape) -> list[int]:
    """Sizes of the parts, the rest worked out."""
    sizes = list(layer.ints(0))
    if _REST in sizes:
        index = sizes.index(_REST)
        sizes[index] = shape[layer.int(1, 0)] - sum(sizes[:index]) - sum(sizes[index + 1 :])
    return sizes


def _sum(sizes: list[str]) -> str:
    """The sum in ncnn's prefix notation."""
    total = sizes[0] if sizes else "0"
    for size in sizes[1:]:
        total = f"+({total},{size})"
    return total
