from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwca_export.detect.boxes import overlaps
from dwca_export.detect.decode import anchor_grid, decode_boxes
from dwca_export.detect.spec import DetectorSpec
from models.detection.matching import BACKGROUND, BEST_ANCHORS, IGNORED, POSITIVE_IOU, make_targets, match

SPEC = DetectorSpec((4, 8), (((12.0, 6.0), (6.0, 12.0)), ((24.0, 12.0), (12.0, 24.0))), 0.3, 0.5, 48)
GRID = anchor_grid(SPEC, 48, 48)
CORNERS = decode_boxes(np.zeros_like(GRID), GRID)


@st.composite
def scenes(draw, most=4):
    """Boxes that lie apart, as objects mostly do."""
    count = draw(st.integers(1, most))
    sides = st.floats(4, 20, width=32)
    starts = [(4 + 24 * (index % 2), 4 + 24 * (index // 2)) for index in range(count)]
    return np.array([(x, y, x + draw(sides), y + draw(sides)) for x, y in starts], np.float32)


@settings(deadline=None)
@given(scenes())
def test_every_box_is_to_be_found(boxes):
    matched = match(boxes, GRID)
    assert set(range(len(boxes))) <= set(matched.tolist())
    shared = overlaps(boxes, CORNERS)
    assert all(matched[shared[index].argmax()] == index for index in range(len(boxes)))


@settings(deadline=None)
@given(scenes())
def test_every_anchor_is_what_its_overlaps_make_it(boxes):
    """The rule of the docstring, anchor by anchor."""
    shared = overlaps(boxes, CORNERS)
    best = [sorted(range(len(GRID)), key=lambda one: -shared[box, one])[:BEST_ANCHORS] for box in range(len(boxes))]
    for anchor, found in enumerate(match(boxes, GRID)):
        first_of = [box for box in range(len(boxes)) if best[box][0] == anchor]
        mine = [
            box
            for box in range(len(boxes))
            if shared[box, anchor] >= POSITIVE_IOU or (anchor in best[box] and shared[box, anchor] > 0)
        ]
        if first_of:
            assert found == first_of[-1]
        elif mine:
            assert found == max(mine, key=lambda box: shared[box, anchor])
        else:
            assert found == (IGNORED if shared[:, anchor].max() >= 0.4 else BACKGROUND)


def test_an_anchor_goes_to_the_box_it_overlaps_most():
    anchor = CORNERS[100]
    boxes = np.stack([anchor + np.array([3, 0, 3, 0], np.float32), anchor])
    assert match(boxes, GRID)[100] == 1
    assert match(boxes[::-1], GRID)[100] == 0


def test_a_thin_box_that_overlaps_nothing_by_half_has_its_best_anchors():
    matched = match(np.array([[5, 21, 43, 23]], np.float32), GRID)
    assert overlaps(np.array([[5, 21, 43, 23]]), CORNERS).max() < POSITIVE_IOU
    assert (matched == 0).sum() == BEST_ANCHORS


def test_an_image_without_boxes_is_all_background():
    assert (match(np.zeros((0, 4), np.float32), GRID) == BACKGROUND).all()


def test_targets_are_the_boxes_themselves():
    boxes = [np.array([[4, 4, 16, 10], [20, 20, 30, 44]], np.float32), np.zeros((0, 4), np.float32)]
    targets = make_targets(boxes, [np.array([7, 2], np.uint8), np.zeros(0, np.uint8)], GRID)
    positive = targets.classes[0] >= 0
    assert set(targets.classes[0, positive].tolist()) == {7, 2}
    decoded = decode_boxes(targets.regressions[0, positive], GRID[positive])
    wanted = np.where((targets.classes[0, positive] == 7)[:, None], boxes[0][0], boxes[0][1])
    assert decoded == pytest.approx(wanted, abs=1e-3)
    assert (targets.classes[1] == BACKGROUND).all()
    assert not targets.regressions[:, ~positive].any()
    assert (targets.classes.dtype, targets.regressions.dtype) == (np.int64, np.float32)
