from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwca_export.parity.boxes import BoxAgreement, compare_boxes, decoding_known, worst_boxes


def manifest(*shapes, labels=2):
    return {"outputs": [{"shape": list(shape)} for shape in shapes], "labels": ["label"] * labels}


@pytest.mark.parametrize(
    ("described", "known"),
    [
        (manifest((1, 6, 50)), True),
        (manifest((1, 6, 50), labels=3), False),
        (manifest((1, 4, 50), labels=0), False),
        (manifest((1, 6)), False),
        (manifest((1, 6, 8, 8)), False),
        (manifest((1, 6, 50), (1, 6, 50)), False),
    ],
)
def test_only_one_layout_of_outputs_is_known(described, known):
    assert decoding_known(described) is known


def output(*candidates):
    """`(1, 4 + 2, n)` of centre x, centre y, width, height, score, score."""
    return np.array(candidates, np.float32).T[np.newaxis]


ONE = (10, 10, 4, 4, 0.9, 0.1)
OTHER = (50, 20, 8, 2, 0.2, 0.6)
NONE = (30, 30, 5, 5, 0.2, 0.1)


def test_equal_outputs_agree():
    both = output(ONE, OTHER, NONE)
    assert compare_boxes(both, both) == BoxAgreement(2, 2, 1.0, 0.0)


def test_a_box_that_moved():
    moved = output((12, 10, 4, 4, 0.9, 0.1), OTHER, NONE)
    found = compare_boxes(output(ONE, OTHER, NONE), moved)
    assert (found.candidates, found.agreed, found.score_difference) == (2, 2, 0.0)
    assert found.least_iou == pytest.approx(8 / 24)


def test_boxes_that_do_not_meet():
    assert compare_boxes(output(ONE), output((90, 90, 4, 4, 0.9, 0.1))).least_iou == 0.0


def test_boxes_without_area_have_no_overlap():
    assert compare_boxes(output((1, 1, 0, 0, 0.9, 0)), output((1, 1, -3, 5, 0.9, 0))).least_iou == 0.0


def test_another_class_is_no_agreement():
    found = compare_boxes(output(ONE), output((10, 10, 4, 4, 0.1, 0.9)))
    assert (found.candidates, found.agreed, found.least_iou) == (1, 0, None)
    assert found.score_difference == pytest.approx(0.8)


@pytest.mark.parametrize("swap", [False, True])
def test_a_candidate_that_one_of_them_drops(swap):
    pair = output(ONE, NONE), output((10, 10, 4, 4, 0.24, 0.1), NONE)
    found = compare_boxes(*(reversed(pair) if swap else pair))
    assert (found.candidates, found.agreed) == (1, 0)


def test_no_candidate_at_all():
    assert compare_boxes(output(NONE), output(NONE)) == BoxAgreement(0, 0, None, 0.0)


def test_samples_are_put_together():
    found = worst_boxes([BoxAgreement(3, 2, 0.9, 0.1), BoxAgreement(0, 0, None, 0.3), BoxAgreement(1, 1, 0.8, 0.0)])
    assert found == BoxAgreement(4, 3, 0.8, 0.3)
    assert worst_boxes([BoxAgreement(0, 0, None, 0.0)]).least_iou is None


boxes = st.tuples(
    *(st.floats(-50, 50, width=32) for _ in range(2)), *(st.floats(0.125, 50, width=32) for _ in range(2))
)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_between_0_and_1(one, other):
    first, second = (output((*box, 0.9, 0.0)) for box in (one, other))
    there, back = compare_boxes(first, second).least_iou, compare_boxes(second, first).least_iou
    assert there == back
    assert 0 <= there <= 1 + 1e-9
    assert compare_boxes(first, first).least_iou == pytest.approx(1)
