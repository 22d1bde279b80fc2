"""Convolutions and poolings that are written the same for every size.

They are right at every size themselves. But where their results have one height at every size although their inputs
have not, a number that follows it is written the same for every size too, and would be taken for a constant: the sizes
lie too close together for the net's stride.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwca_export.ncnn.any_size.variants import Variants

TYPES = ("Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise", "Pooling")
_SPATIAL = {1: "height", 2: "width"}
_CHW = 3


def check_unchanged(variants: Variants) -> None:
    """Refuse sizes that the layer makes one.

    Raises:
        ConversionError: The height or the width of its input differs and that of its output does not.
    """
    layer, before, after = variants.first, variants.input_shapes(), variants.output_shapes()
    adaptive = layer.type == "Pooling" and layer.int(7, 0)
    if adaptive or not all(len(shape) == _CHW for shape in (*before, *after)):
        return
    for axis, name in _SPATIAL.items():
        if len({shape[axis] for shape in before}) > 1 and len({shape[axis] for shape in after}) == 1:
            variants.refuse(f"makes every {name} {after[0][axis]}: the sizes lie too close together")
