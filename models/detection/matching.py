"""Which anchor has to find which box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dwca_export.detect.boxes import overlaps
from dwca_export.detect.decode import encode_boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

BACKGROUND = -1
IGNORED = -2
BEST_ANCHORS = 4
"""A thin oblique box hardly overlaps any anchor by half: its best ones have to find it all the same."""
POSITIVE_IOU = 0.5
IGNORED_IOU = 0.4

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Targets:
    """What the network should say of some images.

    Attributes:
        classes: int64 `(images, anchors)`: the class that an anchor has to find, `BACKGROUND`, or `IGNORED`.
        regressions: float32 `(images, anchors, 4)`; 0 where an anchor has nothing to find.
    """

    classes: Integers
    regressions: Floats


def match(boxes: Floats, anchors: Floats) -> Integers:
    """Give each anchor the box that it has to find.

    An anchor that overlaps a box by `POSITIVE_IOU`, or is one of the `BEST_ANCHORS` of a box that it overlaps at all,
    has to find the one of them that it overlaps most; but the very best anchor of a box always goes to that box. Of the
    others, those that overlap a box by `IGNORED_IOU` are neither right nor wrong.

    Args:
        boxes: float32 `(n, 4)`, corners in pixels.
        anchors: float32 `(anchors, 4)`, centre x and y, width and height.

    Returns:
        int64 `(anchors,)`, an index of `boxes`, `BACKGROUND` or `IGNORED`.
    """
    if not len(boxes):
        return np.full(len(anchors), BACKGROUND)
    half = anchors[:, 2:] / 2
    shared = overlaps(boxes, np.concatenate([anchors[:, :2] - half, anchors[:, :2] + half], axis=1))
    best = np.argsort(-shared, axis=1, kind="stable")[:, :BEST_ANCHORS]
    finds = shared >= POSITIVE_IOU
    np.put_along_axis(finds, best, np.take_along_axis(shared, best, axis=1) > 0, axis=1)
    matched = np.where(shared.max(axis=0) >= IGNORED_IOU, IGNORED, BACKGROUND)
    positive = finds.any(axis=0)
    matched[positive] = np.where(finds, shared, -1).argmax(axis=0)[positive]
    matched[best[:, 0]] = np.arange(len(boxes))
    return matched


def make_targets(boxes: Sequence[Floats], labels: Sequence[npt.NDArray[np.integer]], anchors: Floats) -> Targets:
    """Put what some images hold into the order of the network's outputs.

    Args:
        boxes: Of each image, float32 `(n, 4)`, corners in pixels.
        labels: Of each image, integers `(n,)`.
        anchors: float32 `(anchors, 4)`, of `anchor_grid`.
    """
    classes = np.full((len(boxes), len(anchors)), BACKGROUND)
    regressions = np.zeros((len(boxes), len(anchors), 4), np.float32)
    for index, (some, kinds) in enumerate(zip(boxes, labels, strict=True)):
        matched = match(some, anchors)
        positive = matched >= 0
        classes[index] = matched
        classes[index, positive] = kinds[matched[positive]]
        regressions[index, positive] = encode_boxes(some[matched[positive]], anchors[positive])
    return Targets(classes, regressions)
