"""Mean average precision: how good the boxes of a detector are on a whole data set.

As COCO does, a detection finds the box of its class that it overlaps most among those that no better one found. As
Pascal VOC does since 2010, the precision is integrated over all recalls, after it was made to fall monotonically.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dwca_export.detect.boxes import overlaps
from dwca_export.errors import InputRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwca_export.detect.decode import Detections

Integers = npt.NDArray[np.integer]
MISSED = -1


@dataclass(frozen=True)
class Boxes:
    """Boxes of several images, one after the other.

    Attributes:
        boxes: Floating point `(n, 4)`, corners in pixels.
        labels: Integers `(n,)`.
        scene: Integers `(n,)`, which image a box lies in.
        scores: Floating point `(n,)`; of true boxes 1.
    """

    boxes: npt.NDArray[np.floating]
    labels: Integers
    scene: Integers
    scores: npt.NDArray[np.floating]

    @classmethod
    def of(cls, detections: Sequence[Detections]) -> Boxes:
        """Put the detections of image 0, 1, ... together."""
        counts = [len(one.scores) for one in detections]
        empty = np.zeros((0, 4), np.float32)
        return cls(
            np.concatenate([empty, *(one.boxes for one in detections)]),
            np.concatenate([np.zeros(0, np.int64), *(one.labels for one in detections)]),
            np.repeat(np.arange(len(detections)), counts),
            np.concatenate([np.zeros(0, np.float32), *(one.scores for one in detections)]),
        )


def find(detected: Boxes, truth: Boxes, iou: float = 0.5) -> npt.NDArray[np.int64]:
    """Say which true box each detection finds.

    Args:
        detected: What a detector says.
        truth: What there is.
        iou: The least overlap.

    Returns:
        int64 `(detections,)`, an index of the true boxes, each at most once, or `MISSED`.
    """
    found = np.full(len(detected.scores), MISSED)
    places = _by_scene_and_label(truth)
    for key, candidates in _by_scene_and_label(detected).items():
        if key not in places:
            continue
        shared = overlaps(detected.boxes[candidates], truth.boxes[places[key]])
        for row in np.argsort(-detected.scores[candidates], kind="stable"):
            best = int(shared[row].argmax())
            if shared[row, best] >= iou:
                found[candidates[row]] = places[key][best]
                shared[:, best] = -1  # nobody else finds it
    return found


def average_precisions(detected: Boxes, truth: Boxes, classes: int, iou: float = 0.5) -> npt.NDArray[np.float64]:
    """Average precision of each class.

    Args:
        detected: What a detector says, down to low scores.
        truth: What there is.
        classes: How many classes there are.
        iou: The overlap at which a box counts as found.

    Returns:
        float64 `(classes,)`, 0 to 1; NaN for a class of which there is no box.

    Raises:
        InputRefusedError: A score is no finite number.
    """
    if not np.isfinite(detected.scores).all():
        raise InputRefusedError("a score is no finite number", where="detections", hint="the network is damaged")
    hits = find(detected, truth, iou) != MISSED
    return np.array(
        [
            _average(hits[detected.labels == label], detected.scores[detected.labels == label], count)
            for label, count in enumerate(np.bincount(truth.labels, minlength=classes)[:classes])
        ]
    )


def mean_average_precision(detected: Boxes, truth: Boxes, classes: int, iou: float = 0.5) -> float:
    """The mean of `average_precisions` over the classes of which there is a box.

    Raises:
        InputRefusedError: There is no box at all, or a score is no finite number.
    """
    if not len(truth.labels):
        raise InputRefusedError("there is no true box to be found", where="scenes", hint="build the data set again")
    return float(np.nanmean(average_precisions(detected, truth, classes, iou)))


def _average(hits: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating], count: int) -> float:
    """Area under precision over recall of one class, of which there are `count` boxes."""
    if count == 0:
        return float("nan")
    right = np.cumsum(hits[np.argsort(-scores, kind="stable")])
    precision = right / np.arange(1, len(right) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(right, prepend=0) / count
    return float(np.sum(falling * steps))


def _by_scene_and_label(some: Boxes) -> dict[tuple[int, int], npt.NDArray[np.int64]]:
    """Indices of the boxes of each class in each image, in their order."""
    if not len(some.labels):
        return {}
    order = np.lexsort((some.labels, some.scene))
    keys = np.stack([some.scene[order], some.labels[order]], axis=1)
    starts = np.flatnonzero((np.diff(keys, axis=0) != 0).any(axis=1)) + 1
    parts = np.split(order, starts)
    return {(int(some.scene[part[0]]), int(some.labels[part[0]])): part for part in parts}
