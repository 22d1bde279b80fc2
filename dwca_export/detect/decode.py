"""From the raw maps of a single-shot detector to boxes in pixels, labels and scores.

A cell `(row, column)` of a scale with stride `s` has its anchors at `((column + 0.5) s, (row + 0.5) s)`. An anchor of
width `w` and height `h` there, with the regressions `(dx, dy, dw, dh)`, gives a box whose centre is `dx w` and `dy h`
away from the anchor's and whose sides are `w exp(dw)` and `h exp(dh)` (Ren et al., "Faster R-CNN", 2015, equation 2).
The score of a class is the sigmoid of its logit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dwca_export.detect.boxes import suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwca_export.detect.spec import DetectorSpec

Array = npt.NDArray[np.float32]

LARGEST_GROWTH = 1000 / 16
"""No box is larger than its anchor by more: an untrained or damaged network must not overflow (as torchvision does)."""

CANDIDATES = 400
"""How many of an image's candidates with the highest scores are looked at for overlaps."""


@dataclass(frozen=True)
class Detections:
    """The boxes found in one image, highest score first.

    Attributes:
        boxes: float32 `(n, 4)`, corners `x0, y0, x1, y1` in pixels, within the image.
        scores: float32 `(n,)`, 0 to 1.
        labels: int64 `(n,)`, indices of classes.
    """

    boxes: Array
    scores: Array
    labels: npt.NDArray[np.int64]


def anchor_grid(spec: DetectorSpec, height: int, width: int) -> Array:
    """Every anchor of an image: scale by scale, at each anchor by anchor, of each the cells row by row.

    Args:
        spec: Strides and anchors.
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Returns:
        float32 `(anchors, 4)`: centre x and y, width and height, in pixels.
    """
    scales = []
    for stride, sizes in zip(spec.strides, spec.anchors, strict=True):
        rows, columns = (np.arange(math.ceil(side / stride)) for side in (height, width))
        y, x = np.meshgrid((rows + 0.5) * stride, (columns + 0.5) * stride, indexing="ij")
        centres = np.stack([x.ravel(), y.ravel()], axis=1)
        scales += [np.hstack([centres, np.broadcast_to(size, centres.shape)]) for size in np.asarray(sizes)]
    return np.concatenate(scales).astype(np.float32)


def flatten(maps: Sequence[Array], spec: DetectorSpec) -> tuple[Array, Array]:
    """Put the maps of one image into the order of `anchor_grid`.

    Args:
        maps: float32, of each scale the class logits `(1, anchors * classes, H, W)` and the regressions
            `(1, anchors * 4, H, W)`.
        spec: How many anchors a scale has.

    Returns:
        Class logits float32 `(anchors, classes)` and regressions float32 `(anchors, 4)`.
    """
    logits, regressions = (
        np.concatenate([_rows(one, len(sizes)) for one, sizes in zip(maps[first::2], spec.anchors, strict=True)])
        for first in (0, 1)
    )
    return logits, regressions


def decode_boxes(regressions: Array, anchors: Array) -> Array:
    """Move and stretch anchors.

    Args:
        regressions: float32 `(anchors, 4)`, as the network gives them.
        anchors: float32 `(anchors, 4)`, of `anchor_grid`.

    Returns:
        float32 `(anchors, 4)`, corners in pixels; they may reach out of the image.
    """
    centres = anchors[:, :2] + regressions[:, :2] * anchors[:, 2:]
    half = anchors[:, 2:] * np.exp(np.minimum(regressions[:, 2:], math.log(LARGEST_GROWTH))) / 2
    return np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)


def encode_boxes(boxes: Array, anchors: Array) -> Array:
    """The regressions by which anchors become boxes: what `decode_boxes` undoes.

    Args:
        boxes: float32 `(n, 4)`, corners in pixels, of positive width and height.
        anchors: float32 `(n, 4)`, of `anchor_grid`.

    Returns:
        float32 `(n, 4)`.
    """
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    shifts, growths = (centres - anchors[:, :2]) / anchors[:, 2:], np.log(sizes / anchors[:, 2:])
    return np.concatenate([shifts, growths], axis=1).astype(np.float32)


def decode(
    maps: Sequence[Array],
    spec: DetectorSpec,
    height: int,
    width: int,
    *,
    score: float | None = None,
    iou: float | None = None,
    across_classes: bool = False,
) -> Detections:
    """Find the boxes in the maps of one image.

    Every class of every anchor whose score reaches the threshold is a candidate; of the `CANDIDATES` with the highest
    scores, those that overlap a better one of their class are dropped.

    Args:
        maps: What the network returns for the image; see `flatten`.
        spec: Strides, anchors and thresholds.
        height: Of the image that the network was given, in pixels.
        width: Of that image, in pixels.
        score: Another score threshold than the spec's.
        iou: Another overlap threshold than the spec's.
        across_classes: Whether a box is dropped for a better one of another class too.

    Returns:
        The boxes, cut off at the image's edges.
    """
    logits, regressions = flatten(maps, spec)
    scores = _sigmoid(logits)
    rows, labels = np.nonzero(scores >= (spec.score_threshold if score is None else score))
    best = np.argsort(-scores[rows, labels], kind="stable")[:CANDIDATES]
    rows, labels = rows[best], labels[best]
    boxes = decode_boxes(regressions[rows], anchor_grid(spec, height, width)[rows])
    boxes = np.clip(boxes, 0, np.array([width, height] * 2, np.float32))
    visible = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    rows, labels, boxes = rows[visible], labels[visible], boxes[visible]
    groups = np.zeros_like(labels) if across_classes else labels
    kept = suppress(boxes, scores[rows, labels], groups, spec.iou_threshold if iou is None else iou)
    return Detections(boxes[kept], scores[rows, labels][kept], labels[kept].astype(np.int64))


def _rows(maps: Array, anchors: int) -> Array:
    """`(1, anchors * values, H, W)` as `(anchors * H * W, values)`."""
    by_anchor = maps.reshape(anchors, -1, maps.shape[2] * maps.shape[3])
    return np.asarray(by_anchor.swapaxes(1, 2).reshape(anchors * by_anchor.shape[2], -1), np.float32)


def _sigmoid(logits: Array) -> Array:
    # Of the negative absolute value, exp cannot overflow.
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, small) / (1 + small), np.float32)
