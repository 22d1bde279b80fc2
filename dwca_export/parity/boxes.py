"""How far two detectors agree on their boxes, where it is known how an output holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_RANK = 3  # N, 4 numbers of the box and one score per class, candidates
_BOX = 4
_KEPT = 0.25  # the score from which Ultralytics' predictors keep a candidate


@dataclass(frozen=True)
class BoxAgreement:
    """How far the candidates of two networks agree, over all samples.

    Candidates stand in the same order in both, so they are compared one by one, before overlapping ones are suppressed.

    Attributes:
        candidates: How many either network keeps.
        agreed: How many of them both keep, with the same class.
        least_iou: Smallest intersection over union of the boxes of those; None if there are none.
        score_difference: Largest difference of any score.
    """

    candidates: int
    agreed: int
    least_iou: float | None
    score_difference: float


def decoding_known(manifest: Mapping[str, Any]) -> bool:
    """Whether the sole output is one of Ultralytics' detectors: 4 numbers of the box, then one score for each label."""
    shapes = [entry["shape"] for entry in manifest["outputs"]]
    labels = len(manifest["labels"])
    return len(shapes) == 1 and len(shapes[0]) == _RANK and labels > 0 and shapes[0][1] == _BOX + labels


def compare_boxes(reference: np.ndarray, candidate: np.ndarray) -> BoxAgreement:
    """Compare the candidates of one sample.

    Args:
        reference: `(1, 4 + classes, candidates)`: centre x and y, width and height, then the scores.
        candidate: Of the same shape.
    """
    wanted, found = (array[0].astype(np.float64) for array in (reference, candidate))
    scores, others = wanted[_BOX:], found[_BOX:]
    kept, also = scores.max(axis=0) >= _KEPT, others.max(axis=0) >= _KEPT
    agreed = kept & also & (scores.argmax(axis=0) == others.argmax(axis=0))
    overlaps = _iou(wanted[:_BOX, agreed], found[:_BOX, agreed])
    return BoxAgreement(
        int((kept | also).sum()),
        int(agreed.sum()),
        float(overlaps.min()) if overlaps.size else None,
        float(np.abs(scores - others).max()),
    )


def worst_boxes(samples: Sequence[BoxAgreement]) -> BoxAgreement:
    """Put samples together: counts are added, the others are the worst sample's."""
    overlaps = [one.least_iou for one in samples if one.least_iou is not None]
    return BoxAgreement(
        sum(one.candidates for one in samples),
        sum(one.agreed for one in samples),
        min(overlaps, default=None),
        float(np.max([one.score_difference for one in samples])),
    )


def _iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes `(4, n)`, one by one; boxes without area have none."""
    (low, high), (other_low, other_high) = _corners(boxes), _corners(others)
    shared = np.prod(np.clip(np.minimum(high, other_high) - np.maximum(low, other_low), 0, None), axis=0)
    areas = np.prod(high - low, axis=0) + np.prod(other_high - other_low, axis=0) - shared
    overlaps: np.ndarray = np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)
    return overlaps


def _corners(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    half = np.clip(boxes[2:], 0, None) / 2
    return boxes[:2] - half, boxes[:2] + half
