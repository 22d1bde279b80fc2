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
    first, second = (some.astype(np.float64).T for some in (boxes, others))
    shared = _lengths(first[0::2], second[0::2]) * _lengths(first[1::2], second[1::2])
    union = _areas(first)[:, np.newaxis] + _areas(second) - shared
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
    alive = np.ones(len(order), bool)
    for label in np.unique(labels):
        places = np.flatnonzero(labels[order] == label)
        alive[places] = _survivors(overlaps(boxes[order[places]], boxes[order[places]]) > iou)
    return order[alive].astype(np.int64)


def _survivors(clashes: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which of some boxes are kept, best first, by which of them clash with each other."""
    alive = np.ones(len(clashes), bool)
    for index in range(len(clashes)):
        if alive[index]:
            alive[index + 1 :] &= ~clashes[index, index + 1 :]
    return alive


def _lengths(spans: Floats, others: Floats) -> Floats:
    """How long each of the spans `(2, n)` and each of the others have in common, `(n, m)`."""
    low = np.maximum(spans[0][:, np.newaxis], others[0])
    return np.asarray(np.clip(np.minimum(spans[1][:, np.newaxis], others[1]) - low, 0, None))


def _areas(corners: Floats) -> Floats:
    return np.asarray(np.prod(np.clip(corners[2:] - corners[:2], 0, None), axis=0))
