"""`Slice` into parts whose sizes depend on the input: one `Crop` for each part, bounded by the shapes of blobs.

1. Part k of `Slice(axis)` -> `Crop(start, end, axis)` (expressions under the ids 19, 20, 21), where start and end are
   sums of the parts' sizes and each size is a number or the size of a blob that is computed before; the last part ends
   where the input does.

Refused: parts that do not add up to the whole, and indices (id 2) that differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.ncnn.param import Layer

if TYPE_CHECKING:
    from dwca_export.ncnn.any_size.variants import Variants

_REST = -233  # an equal part of what remains; as the end of a Crop: the end of its input


def generalise(variants: Variants) -> list[Layer]:
    """Apply the rule.

    Raises:
        ConversionError: The size of a part is that of no blob, or the layer is refused.
    """
    variants.require(0)
    layer = variants.first
    axis = layer.int(1, 0)
    numbers = list(zip(*_part_sizes(variants), strict=True))
    crops = []
    for index, top in enumerate(layer.tops):
        last = index + 1 == len(layer.tops)
        found, bottoms = variants.expressions(numbers[: index if last else index + 1])
        end = str(_REST) if last else _sum(found)
        crop = Layer("Crop", f"{layer.name}_{index}", bottoms, (top,))
        crops.append(crop.with_params({19: _sum(found[:index]), 20: end, 21: str(axis)}))
    return crops


def check_unchanged(variants: Variants) -> None:
    """Hold a `Slice` that is written the same for every size to mean the same.

    Raises:
        ConversionError: It cuts an axis that depends on the size into equal parts, which ncnn rounds in its own way, or
            leaves something of it.
    """
    layer = variants.first
    axis = layer.int(1, 0)
    whole = {shape[axis] for shape in variants.input_shapes()}
    if len(whole) > 1 and not layer.has(2) and (layer.ints(0).count(_REST) != 1 or layer.ints(0)[-1] != _REST):
        variants.refuse(f"cuts {' / '.join(map(str, sorted(whole)))} into parts of which the last is not what remains")


def _part_sizes(variants: Variants) -> list[list[int]]:
    """Sizes of the parts at each size, worked out as ncnn does (its `src/layer/slice.cpp`)."""
    axis = variants.first.int(1, 0)
    found = []
    for layer, shape in zip(variants.layers, variants.input_shapes(), strict=True):
        sizes: list[int] = []
        for index, size in enumerate(layer.ints(0)):
            remains = shape[axis] - sum(sizes)
            sizes.append(remains // (len(layer.tops) - index) if size == _REST else size)
        if sum(sizes) != shape[axis] or len(sizes) != len(layer.tops):
            variants.refuse(f"cuts {shape[axis]} into {sizes}, which is not all of it")
        found.append(sizes)
    return found


def _sum(sizes: list[str]) -> str:
    """The sum in ncnn's prefix notation."""
    total = sizes[0] if sizes else "0"
    for size in sizes[1:]:
        total = f"+({total},{size})"
    return total
