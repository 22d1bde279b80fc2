from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwca_export.detect.boxes import overlaps
from dwca_export.detect.decode import Detections
from dwca_export.errors import InputRefusedError
from models.detection.average_precision import MISSED, Boxes, average_precisions, find, mean_average_precision


def box(x, side=10):
    return [x, 0, x + side, side]


def boxes(rows):
    """Rows of scene, label, score, x."""
    scene, label, score, x = np.array(rows, np.float64).reshape(-1, 4).T
    corners = np.array([box(one) for one in x], np.float32).reshape(-1, 4)
    return Boxes(corners, label.astype(np.int64), scene.astype(np.int64), score)


TRUTH = boxes([(0, 0, 1, 0), (0, 0, 1, 50), (1, 0, 1, 0), (1, 1, 1, 80)])


def naive(detected, truth, label, iou):
    """Average precision by its definition, one detection at a time, integrated over every recall that is reached."""
    order = sorted(np.flatnonzero(detected.labels == label), key=lambda one: (-detected.scores[one], one))
    count, taken, hits, points = int((truth.labels == label).sum()), set(), 0, []
    for rank, one in enumerate(order, 1):
        free = [
            other
            for other in np.flatnonzero((truth.labels == label) & (truth.scene == detected.scene[one]))
            if other not in taken
        ]
        shared = [overlaps(detected.boxes[one : one + 1], truth.boxes[other : other + 1])[0, 0] for other in free]
        if free and max(shared) >= iou:
            taken.add(free[int(np.argmax(shared))])
            hits += 1
        points.append((hits / count, hits / rank))
    area = previous = 0.0
    for recall, _ in points:
        area += (recall - previous) * max(precision for other, precision in points if other >= recall)
        previous = recall
    return area


def test_everything_found():
    assert average_precisions(TRUTH, TRUTH, 2).tolist() == [1, 1]
    assert mean_average_precision(TRUTH, TRUTH, 2) == 1


def test_nothing_found():
    assert mean_average_precision(boxes([]), TRUTH, 2) == 0


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0, 0, 0.9, 0)], 1 / 3),
        ([(0, 0, 0.9, 0), (0, 0, 0.8, 20)], 1 / 3),  # a false box behind the right one costs nothing
        ([(0, 0, 0.8, 0), (0, 0, 0.9, 20)], 1 / 6),  # before it, it halves the precision
        ([(0, 0, 0.9, 0), (0, 0, 0.8, 0)], 1 / 3),  # a box is found once
        ([(0, 0, 0.9, 0), (0, 0, 0.8, 1), (0, 0, 0.7, 50)], 1 / 3 + 2 / 9),  # 1 of 1, then 2 of 3
        ([(1, 0, 0.9, 50)], 0),  # the box is in the other image
        ([(0, 1, 0.9, 0)], 0),  # of another class
        ([(0, 0, 0.9, 3)], 1 / 3),  # 7 of 13 overlap: more than half
        ([(0, 0, 0.9, 4)], 0),  # 6 of 14
        # The precision falls monotonically: the second hit lifts what was before it to 2 of 3.
        ([(0, 0, 0.9, 20), (0, 0, 0.8, 0), (0, 0, 0.7, 50)], 2 / 3 * 2 / 3),
    ],
)
def test_computed_by_hand(rows, expected):
    assert average_precisions(boxes(rows), TRUTH, 2)[0] == pytest.approx(expected)


def test_the_better_detection_takes_the_box_and_the_other_its_neighbour():
    """One that lies between two boxes finds the one that is free, as with COCO."""
    truth = boxes([(0, 0, 1, 0), (0, 0, 1, 4)])
    detected = boxes([(0, 0, 0.8, 1), (0, 0, 0.9, 0)])
    assert find(detected, truth).tolist() == [1, 0]
    assert find(boxes([(0, 0, 0.8, 0), (0, 0, 0.9, 0)]), boxes([(0, 0, 1, 0)])).tolist() == [MISSED, 0]


some_rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 6).map(lambda one: one / 6), st.integers(0, 30)),
    max_size=20,
)


@settings(deadline=None)
@given(some_rows, some_rows.filter(len), st.sampled_from([0.3, 0.5, 0.75]))
def test_it_is_that_of_the_naive_loops(found, there, iou):
    detected, truth = boxes(found), boxes(there)
    precisions = average_precisions(detected, truth, 2, iou)
    for label in (0, 1):
        if (truth.labels == label).any():
            assert precisions[label] == pytest.approx(naive(detected, truth, label, iou))
        else:
            assert math.isnan(precisions[label])


@settings(deadline=None)
@given(some_rows, some_rows)
def test_every_true_box_is_found_at_most_once_and_only_where_it_is(found, there):
    detected, truth = boxes(found), boxes(there)
    matched = find(detected, truth)
    hits = matched[matched != MISSED]
    assert len(set(hits.tolist())) == len(hits)
    assert (detected.labels[matched != MISSED] == truth.labels[hits]).all()
    assert (detected.scene[matched != MISSED] == truth.scene[hits]).all()


@settings(deadline=None)
@given(some_rows, some_rows.filter(len))
def test_the_order_of_equal_things_aside_scores_count_by_their_order_alone(found, there):
    detected, truth = boxes(found), boxes(there)
    squeezed = Boxes(detected.boxes, detected.labels, detected.scene, detected.scores / 10 + 0.5)
    assert average_precisions(squeezed, truth, 2) == pytest.approx(average_precisions(detected, truth, 2), nan_ok=True)


def test_a_class_without_boxes_does_not_count():
    truth = boxes([(0, 0, 1, 0)])
    assert mean_average_precision(boxes([(0, 0, 0.9, 0), (0, 1, 0.9, 0)]), truth, 3) == 1


def test_no_true_box_at_all_is_refused():
    with pytest.raises(InputRefusedError, match="no true box"):
        mean_average_precision(TRUTH, boxes([]), 2)


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(InputRefusedError, match="no finite number"):
        mean_average_precision(boxes([(0, 0, math.nan, 0)]), TRUTH, 2)


def test_detections_of_several_images_are_put_together():
    none = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    one = Detections(np.array([box(3)], np.float32), np.array([0.5], np.float32), np.array([4]))
    together = Boxes.of([none, one, none, one])
    assert together.scene.tolist() == [1, 3]
    assert together.labels.tolist() == [4, 4]
    assert Boxes.of([none]).boxes.shape == (0, 4)
    assert Boxes.of([]).scores.shape == (0,)
