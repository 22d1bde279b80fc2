"""Pooling over a whole axis: a `Reduction`, which needs no size.

1. `Pooling` whose kernel is as wide as its input at every size and one high -> `Reduction` over the width.
2. the same for the height, and for both.

Refused: a kernel that differs from size to size and is not the whole of an axis, padding, and strides that leave out
positions of the other axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.ncnn.param import Layer

if TYPE_CHECKING:
    from dwca_export.ncnn.any_size.variants import Variants

_MAX, _MEAN = 4, 3  # Reduction's operations
_CHW = 3
_KERNELS = {1: 11, 2: 1}  # axis (1: height, 2: width) -> id of the kernel's side
_KERNEL_AND_STRIDE = (1, 11, 2, 12)
_OTHER_KINDS = (3, 13, 14, 15, 4, 7)  # padding, global, adaptive


def generalise(variants: Variants) -> list[Layer]:
    """Apply the rule.

    Raises:
        ConversionError: It does not apply.
    """
    variants.require(*_KERNEL_AND_STRIDE)
    layer = variants.first
    if any(layer.int(key, 0) for key in _OTHER_KINDS) or len(variants.input_shapes()[0]) != _CHW:
        variants.refuse("depends on the size and is padded, global, adaptive or of no image")
    spanned = [axis for axis, key in _KERNELS.items() if _kernels(variants, key) == _sides(variants, axis)]
    for before, after in zip(variants.input_shapes(), variants.output_shapes(), strict=True):
        if not spanned or after != tuple(1 if axis in spanned else side for axis, side in enumerate(before)):
            variants.refuse(f"makes {before} to {after}, which is no mean or maximum over whole axes")
    operation = _MEAN if layer.int(0, 0) == 1 else _MAX
    reduction = Layer("Reduction", layer.name, layer.bottoms, layer.tops)
    # 5=1: the axes do not count the batch.
    return [reduction.with_params({0: operation, 1: 0, 3: spanned, 4: 1, 5: 1})]


def _kernels(variants: Variants, key: int) -> list[int]:
    return [layer.int(key, layer.int(1, 0)) for layer in variants.layers]


def _sides(variants: Variants, axis: int) -> list[int]:
    return [shape[axis] for shape in variants.input_shapes()]
