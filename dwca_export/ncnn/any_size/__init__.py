"""Rules that make a layer independent of the input size, one per layer type.

A rule sees one layer as pnnx wrote it for several input sizes, and the shapes of the blobs at each of them. `RULES` are
for layers that differ: they return what replaces the layer, or refuse. `CHECKS` are for layers that do not differ and
may all the same not be right at other sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.ncnn.any_size import crop, interp, local, pooling, reshape, slice_

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwca_export.ncnn.any_size.variants import Variants
    from dwca_export.ncnn.param import Layer

RULES: dict[str, Callable[[Variants], list[Layer]]] = {
    "Crop": crop.generalise,
    "Interp": interp.generalise,
    "Pooling": pooling.generalise,
    "Reshape": reshape.generalise,
    "Slice": slice_.generalise,
}

CHECKS: dict[str, Callable[[Variants], None]] = {
    **dict.fromkeys(local.TYPES, local.check_unchanged),
    "Slice": slice_.check_unchanged,
}
