"""Anchors chosen from the boxes that are trained on.

The boxes are divided by area into as many equal parts as there are scales, and each part by k-means into shapes, with
the intersection over union of two boxes of one centre as their closeness (Redmon, Farhadi, "YOLO9000: Better, Faster,
Stronger", 2017, section 2).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dwca_export.errors import InputRefusedError

STRIDES = (8, 16, 32)
PER_SCALE = 3
_ROUNDS = 100

Floats = npt.NDArray[np.floating]
Anchors = tuple[tuple[tuple[float, float], ...], ...]


def choose_anchors(boxes: Floats, scales: int = len(STRIDES), per_scale: int = PER_SCALE) -> Anchors:
    """Choose anchors, always the same for the same boxes.

    Args:
        boxes: `(n, 4)`, corners in pixels, of positive width and height.
        scales: Number of scales.
        per_scale: Anchors of each.

    Returns:
        Width and height in pixels to a tenth, for each scale from the smallest boxes to the largest.

    Raises:
        InputRefusedError: There are fewer boxes than anchors.
    """
    if len(boxes) < scales * per_scale:
        raise InputRefusedError(
            f"{len(boxes)} boxes are too few for {scales * per_scale} anchors",
            where="scenes",
            hint="build a larger data set",
        )
    sizes = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)
    by_area = sizes[np.argsort(sizes.prod(axis=1), kind="stable")]
    shapes = [_k_means(part, per_scale) for part in np.array_split(by_area, scales)]
    return tuple(tuple((round(float(w), 1), round(float(h), 1)) for w, h in scale) for scale in shapes)


def _k_means(sizes: Floats, count: int) -> Floats:
    """Centres of clusters of `(n, 2)` sizes, from the widest to the tallest."""
    by_shape = sizes[np.argsort(sizes[:, 1] / sizes[:, 0], kind="stable")]
    centres = np.stack([np.median(part, axis=0) for part in np.array_split(by_shape, count)])
    for _ in range(_ROUNDS):
        nearest = _closeness(sizes, centres).argmax(axis=1)
        moved = np.stack(
            [np.median(sizes[nearest == k], axis=0) if (nearest == k).any() else centres[k] for k in range(count)]
        )
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _closeness(sizes: Floats, centres: Floats) -> Floats:
    shared = np.minimum(sizes[:, np.newaxis], centres[np.newaxis]).prod(axis=2)
    together = sizes.prod(axis=1)[:, np.newaxis] + centres.prod(axis=1)[np.newaxis] - shared
    return np.asarray(shared / together)
