"""What the predictions of one trained network come to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from models.detection.average_precision import MISSED, Boxes, find, mean_average_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.floating[Any]]
    Integers = npt.NDArray[np.integer[Any]]
    Bools = npt.NDArray[np.bool_]

LENGTHS = ((8, 12), (12, 16), (16, 24), (24, 32), (32, 40))
"""Bins of object length, pixels: the lower end is in, the upper one out, but for the last."""


@dataclass(frozen=True)
class Classified:
    """A classifier's answers on a test part.

    Attributes:
        predicted: int `(N,)`, the class of the highest logit.
        labels: int `(N,)`, the true one.
    """

    predicted: Integers
    labels: Integers

    @property
    def right(self) -> Bools:
        """Which images are classified rightly, bool `(N,)`."""
        return np.asarray(self.predicted == self.labels)

    def accuracy(self, chosen: Bools | None = None) -> float | None:
        """Share of right answers, of all images or of the chosen ones; None where there are none."""
        right = self.right if chosen is None else self.right[chosen]
        return float(right.mean()) if len(right) else None

    def confusion(self, classes: int) -> npt.NDArray[np.int64]:
        """int64 `(classes, classes)`: images by true class (rows) and answer (columns)."""
        counts = np.bincount(self.labels.astype(np.int64) * classes + self.predicted, minlength=classes**2)
        return counts.reshape(classes, classes)

    def confused(self, group: Sequence[int]) -> float | None:
        """Share of the images of a group of classes that are taken for another class of the same group."""
        inside = np.isin(self.labels, group)
        wrong = np.isin(self.predicted, group) & ~self.right
        return float(wrong[inside].mean()) if inside.any() else None


def length_name(bin_: tuple[int, int]) -> str:
    """Name a bin of lengths: `8-12`."""
    return f"{bin_[0]}-{bin_[1]}"


def in_bin(lengths: Floats, bin_: tuple[int, int]) -> Bools:
    """Which lengths lie in a bin."""
    low, high = bin_
    return np.asarray((lengths >= low) & ((lengths < high) | ((bin_ == LENGTHS[-1]) & (lengths == high))))


def map_by_length(detected: Boxes, truth: Boxes, lengths: Floats, classes: int) -> dict[str, float | None]:
    """mAP@0.5 of the objects of each bin of lengths.

    What found an object of another bin is left out. What found nothing counts in the bin of its box's diagonal,
    which is about the length of a thin object, whatever its direction.

    Args:
        detected: Detections of the whole test part.
        truth: Its boxes.
        lengths: `(M,)`, lengths of the objects, in pixels.
        classes: How many classes there are.

    Returns:
        By bin; None where the bin has no object.
    """
    found = find(detected, truth)
    sides = detected.boxes[:, 2:] - detected.boxes[:, :2]
    diagonals = np.hypot(sides[:, 0], sides[:, 1])
    measured: dict[str, float | None] = {}
    for bin_ in LENGTHS:
        inside = in_bin(lengths, bin_)
        own = np.where(found == MISSED, in_bin(diagonals, bin_), inside[found] if len(inside) else False)
        name = length_name(bin_)
        measured[name] = None
        if inside.any():
            measured[name] = mean_average_precision(_only(detected, own), _only(truth, inside), classes)
    return measured


def _only(boxes: Boxes, kept: Bools) -> Boxes:
    return replace(
        boxes, boxes=boxes.boxes[kept], labels=boxes.labels[kept], scene=boxes.scene[kept], scores=boxes.scores[kept]
    )
