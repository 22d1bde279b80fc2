from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dwca_export.detect.boxes import overlaps, suppress

UNIT = np.array([[0, 0, 1, 1]], np.float32)


def naive_overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    areas = sum(max(one[2] - one[0], 0) * max(one[3] - one[1], 0) for one in (a, b))
    return shared / (areas - shared) if areas - shared > 0 else 0


def naive_suppress(boxes, scores, labels, iou):
    kept = []
    for index in sorted(range(len(scores)), key=lambda one: (-scores[one], one)):
        rivals = [one for one in kept if labels[one] == labels[index]]
        if all(naive_overlap(boxes[index], boxes[one]) <= iou for one in rivals):
            kept.append(index)
    return kept


@st.composite
def candidates(draw):
    """Boxes on a coarse grid, so that many overlap, some exactly; scores of few values, so that some are equal."""
    count = draw(st.integers(0, 24))
    corners = draw(hnp.arrays(np.int64, (count, 4), elements=st.integers(0, 12)))
    corners[:, 2:] = corners[:, :2] + 1 + corners[:, 2:] % 6
    scores = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 8))) / 8
    labels = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 2)))
    return corners.astype(np.float32), scores.astype(np.float32), labels


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 1, 1], 1),
        ([0, 0, 1, 0.5], 0.5),
        ([0.5, 0, 1.5, 1], 1 / 3),
        ([1, 0, 2, 1], 0),  # an edge in common is no area
        ([0.2, 0.2, 0.2, 0.9], 0),  # no area at all
        ([0.9, 0.9, 0.1, 0.1], 0),  # corners the wrong way round
    ],
)
def test_overlaps_computed_by_hand(box, expected):
    assert overlaps(np.array([box], np.float32), UNIT)[0, 0] == pytest.approx(expected)


@settings(deadline=None)
@given(candidates(), candidates())
def test_overlaps_are_those_of_the_naive_formula(one, other):
    naive = [[naive_overlap(a, b) for b in other[0]] for a in one[0]]
    assert overlaps(one[0], other[0]) == pytest.approx(np.array(naive).reshape(len(one[0]), len(other[0])))


@settings(deadline=None)
@given(candidates(), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_suppression_is_that_of_the_naive_loop(some, iou):
    assert suppress(*some, iou).tolist() == naive_suppress(*some, iou)


@settings(deadline=None)
@given(candidates(), st.sampled_from([0.0, 0.3, 0.5]))
def test_what_is_kept_does_not_overlap_and_is_kept_again(some, iou):
    boxes, scores, labels = (values[suppress(*some, iou)] for values in some)
    assert suppress(boxes, scores, labels, iou).tolist() == list(range(len(scores)))
    assert (np.diff(scores) <= 0).all()
    of_one_class = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
    assert not (overlaps(boxes, boxes)[of_one_class] > iou).any()


@settings(deadline=None)
@given(candidates())
def test_the_best_of_each_class_is_always_kept(some):
    _, scores, labels = some
    kept = suppress(*some, 0.0)
    for label in set(labels.tolist()):
        assert scores[labels == label].max() in scores[kept][labels[kept] == label]


def test_classes_do_not_suppress_each_other():
    boxes = np.repeat(UNIT, 3, axis=0)
    scores = np.array([0.5, 0.9, 0.7], np.float32)
    assert suppress(boxes, scores, np.array([0, 1, 0]), 0.5).tolist() == [1, 2]


def test_no_boxes():
    empty = np.zeros((0, 4), np.float32)
    assert suppress(empty, np.zeros(0, np.float32), np.zeros(0, np.int64), 0.5).tolist() == []
    assert overlaps(empty, UNIT).shape == (0, 1)
