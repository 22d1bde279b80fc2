"""Boxes in pixels, as corners `(x0, y0, x1, y1)`: overlaps and suppression."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def overlaps(boxes: Floats, others: Floats) -> npt.NDArray[np.float64]:
    """Intersection over union of every box with every other.

    Args:
        boxes: Floating point `(n, 4)`, corners.
        others: Floating point `(m, 4)`.

    Returns:
        float64 `(n, m)`, 0 to 1; boxes without area overlap nothing.
    """
    first, second = boxes.astype(np.float64)[:, np.newaxis], others.astype(np.float64)[np.newaxis]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    union = _areas(first) + _areas(second) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def suppress(boxes: Floats, scores: Floats, labels: npt.NDArray[np.integer], iou: float) -> npt.NDArray[np.int64]:
    """Greedy non-maximum suppression within each class.

    From the highest score down, a box is kept unless it overlaps a box of its class that was kept by more than `iou`.
    Of equal scores the one that stands first goes first.

    Args:
        boxes: Floating point `(n, 4)`, corners.
        scores: Floating point `(n,)`.
        labels: Integers `(n,)`.
        iou: The overlap that two boxes of one class may have.

    Returns:
        int64 `(kept,)`, indices of the boxes that are kept, highest score first.
    """
    order = np.argsort(-scores, kind="stable")
    clashes = (overlaps(boxes[order], boxes[order]) > iou) & (labels[order][:, np.newaxis] == labels[order])
    alive = np.ones(len(order), bool)
    for index in range(len(order)):
        if alive[index]:
            alive[index + 1 :] &= ~clashes[index, index + 1 :]
    return order[alive].astype(np.int64)


def _areas(boxes: Floats) -> Floats:
    return np.asarray(np.prod(np.clip(boxes[..., 2:] - boxes[..., :2], 0, None), axis=-1))
