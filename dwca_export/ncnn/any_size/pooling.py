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
    from dwca_export.ncnn.any_size.variants import Shape, Variants

_MAX, _MEAN = 4, 3  # Reduction's operations
_CHW = 3
_KERNEL_AND_STRIDE = (1, 11, 2, 12)


def generalise(variants: Variants) -> list[Layer]:
    """Apply the rule.

    Raises:
        ConversionError: It does not apply.
    """
    layer = variants.first
    variants.require(*_KERNEL_AND_STRIDE)
    axes = {_whole_axes(variants, *pair) for pair in zip(variants.layers, variants.input_shapes(), strict=True)}
    if len(axes) != 1 or () in axes:
        variants.refuse("its kernel depends on the size and does not span a whole axis")
    spanned = axes.pop()
    for before, after in zip(variants.input_shapes(), variants.output_shapes(), strict=True):
        if after != tuple(1 if axis in spanned else side for axis, side in enumerate(before)):
            variants.refuse(f"makes {before} to {after}, which is more than a mean or maximum over whole axes")
    operation = _MEAN if layer.int(0, 0) == 1 else _MAX
    reduction = Layer("Reduction", layer.name, layer.bottoms, layer.tops)
    # 5=1: the axes do not count the batch.
    return [reduction.with_params({0: operation, 1: 0, 3: list(spanned), 4: 1, 5: 1})]


def _whole_axes(variants: Variants, layer: Layer, shape: Shape) -> tuple[int, ...]:
    """The axes (1: height, 2: width) that the kernel spans; empty if it leaves a part of one."""
    if len(shape) != _CHW or layer.int(4, 0) or layer.int(7, 0):
        variants.refuse("is global or adaptive and yet depends on the size")
    if any(layer.int(key, 0) for key in (3, 13, 14, 15)):
        variants.refuse("its kernel depends on the size and is padded")
    width = layer.int(1, 0)
    kernel = {1: layer.int(11, width), 2: width}
    if any(kernel[axis] not in (1, shape[axis]) for axis in kernel):
        return ()
    return tuple(axis for axis in kernel if kernel[axis] == shape[axis] and shape[axis] > 1)
