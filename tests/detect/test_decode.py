from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwca_export.detect import decode as module
from dwca_export.detect.boxes import overlaps
from dwca_export.detect.decode import anchor_grid, decode, decode_boxes, encode_boxes, flatten
from dwca_export.detect.spec import DetectorSpec

SPEC = DetectorSpec((4, 8), (((8.0, 4.0), (4.0, 8.0)), ((16.0, 8.0), (8.0, 16.0))), 0.3, 0.5, 24)
CLASSES = 3
HEIGHT, WIDTH = 20, 24
CELLS = ((5, 6), (3, 3))  # rounded up
LOW = -9.0


def maps(values=LOW):
    """Maps of an image on which there is nothing."""
    shapes = [(1, 2 * count, *cells) for cells in CELLS for count in (CLASSES, 4)]
    return [np.full(shape, values if index % 2 == 0 else 0, np.float32) for index, shape in enumerate(shapes)]


def random_maps(seed, spread=2.0):
    generator = np.random.default_rng(seed)
    return [
        generator.normal(0, spread if index % 2 == 0 else 0.5, one.shape).astype(np.float32)
        for index, one in enumerate(maps())
    ]


def naive_candidates(some, spec, height, width, score):
    """Every class of every anchor by the formulas, one number at a time, in Python's floats."""
    found = []
    for scale, (stride, sizes) in enumerate(zip(spec.strides, spec.anchors, strict=True)):
        logits, regressions = some[2 * scale][0], some[2 * scale + 1][0]
        for a, (w, h) in enumerate(sizes):
            for row in range(math.ceil(height / stride)):
                for column in range(math.ceil(width / stride)):
                    dx, dy, dw, dh = (float(regressions[4 * a + k, row, column]) for k in range(4))
                    x, y = (column + 0.5) * stride + dx * w, (row + 0.5) * stride + dy * h
                    half = w * math.exp(dw) / 2, h * math.exp(dh) / 2
                    box = [x - half[0], y - half[1], x + half[0], y + half[1]]
                    box = [min(max(value, 0), limit) for value, limit in zip(box, [width, height] * 2, strict=True)]
                    for label in range(CLASSES):
                        probability = 1 / (1 + math.exp(-float(logits[CLASSES * a + label, row, column])))
                        if probability >= score and box[2] > box[0] and box[3] > box[1]:
                            found.append((box, probability, label))
    return found


def naive_decode(some, spec, height, width, score, iou):
    kept = []
    for box, probability, label in sorted(naive_candidates(some, spec, height, width, score), key=lambda one: -one[1]):
        rivals = [other for other in kept if other[2] == label]
        if all(overlaps(np.array([box]), np.array([other[0]]))[0, 0] <= iou for other in rivals):
            kept.append((box, probability, label))
    return kept


def as_rows(detections):
    return [*zip(detections.boxes.tolist(), detections.scores.tolist(), detections.labels.tolist(), strict=True)]


def test_one_box_where_it_was_planted():
    planted = maps()
    planted[0][0, CLASSES + 2, 3, 1] = 1.0  # stride 4, second anchor (4 x 8), class 2, row 3, column 1
    planted[1][0, 4:8, 3, 1] = [0.5, -0.25, math.log(2), math.log(0.5)]
    found = decode(planted, SPEC, HEIGHT, WIDTH)
    # Centre (1.5 * 4 + 0.5 * 4, 3.5 * 4 - 0.25 * 8), 4 * 2 wide and 8 * 0.5 high.
    assert found.boxes == pytest.approx(np.array([[4, 10, 12, 14]]))
    assert found.scores == pytest.approx([1 / (1 + math.exp(-1))])
    assert found.labels.tolist() == [2]


def test_nothing():
    found = decode(maps(), SPEC, HEIGHT, WIDTH)
    assert (found.boxes.shape, found.scores.shape, found.labels.shape) == ((0, 4), (0,), (0,))


@pytest.mark.parametrize("seed", range(5))
def test_decoding_is_that_of_the_naive_loops(seed):
    some = random_maps(seed)
    found, expected = decode(some, SPEC, HEIGHT, WIDTH), naive_decode(some, SPEC, HEIGHT, WIDTH, 0.3, 0.5)
    assert len(expected) > 10
    assert found.labels.tolist() == [label for _, _, label in expected]
    assert found.scores == pytest.approx([probability for _, probability, _ in expected], rel=1e-5)
    assert found.boxes == pytest.approx(np.array([box for box, _, _ in expected]), abs=1e-3)


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1))
def test_thresholds_hold(seed, score, iou):
    found = decode(random_maps(seed), SPEC, HEIGHT, WIDTH, score=score, iou=iou)
    assert (found.scores >= np.float32(score)).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [WIDTH, HEIGHT] * 2).all()
    same = (found.labels[:, None] == found.labels) & ~np.eye(len(found.labels), dtype=bool)
    assert not (overlaps(found.boxes, found.boxes)[same] > iou).any()


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0, 0.9))
def test_a_higher_threshold_shows_a_part_of_what_a_lower_one_shows(seed, score):
    some = random_maps(seed)
    lower, higher = (as_rows(decode(some, SPEC, HEIGHT, WIDTH, score=value)) for value in (score, score + 0.1))
    assert higher == lower[: len(higher)]


@settings(deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(0, 90, width=32)] * 2, *[st.floats(0.5, 60, width=32)] * 2), min_size=1, max_size=9)
)
def test_encoding_is_undone_by_decoding(corners):
    boxes = np.array(corners, np.float32)
    boxes[:, 2:] += boxes[:, :2]
    anchors = anchor_grid(SPEC, 96, 96)[: len(boxes)]
    assert decode_boxes(encode_boxes(boxes, anchors), anchors) == pytest.approx(boxes, abs=1e-3)


def test_regressions_of_zero_are_the_anchors():
    anchors = anchor_grid(SPEC, HEIGHT, WIDTH)
    boxes = decode_boxes(np.zeros_like(anchors), anchors)
    assert (boxes[:, :2] + boxes[:, 2:]) / 2 == pytest.approx(anchors[:, :2])
    assert boxes[:, 2:] - boxes[:, :2] == pytest.approx(anchors[:, 2:])


def test_huge_regressions_do_not_overflow():
    anchors = anchor_grid(SPEC, HEIGHT, WIDTH)
    assert np.isfinite(decode_boxes(np.full_like(anchors, 1e30)[:1] * [0, 0, 1, 1], anchors[:1])).all()


def test_extreme_logits_have_the_scores_0_and_1():
    assert module._sigmoid(np.array([-1e4, 0, 1e4], np.float32)).tolist() == [0, 0.5, 1]


def test_anchors_stand_in_the_order_of_the_maps():
    """Number the cells of the maps, and see where each number lands."""
    numbered = maps()
    for scale, (rows, columns) in enumerate(CELLS):
        for anchor in range(2):
            place = np.arange(rows * columns).reshape(rows, columns) + 1000 * anchor + 10000 * scale
            for value in range(CLASSES):
                numbered[2 * scale][0, anchor * CLASSES + value] = place + value / 10
            for value in range(4):
                numbered[2 * scale + 1][0, anchor * 4 + value] = place + value / 10
    logits, regressions = flatten(numbered, SPEC)
    grid = anchor_grid(SPEC, HEIGHT, WIDTH)
    assert len(logits) == len(regressions) == len(grid) == 2 * (30 + 9)
    assert logits[:, 2] == pytest.approx(logits[:, 0] + 0.2, abs=1e-3)
    assert regressions[:, 3] == pytest.approx(regressions[:, 0] + 0.3, abs=1e-3)
    for number, (x, y, w, h) in zip(np.rint(logits[:, 0]).astype(int), grid, strict=True):
        scale, anchor, cell = number // 10000, number // 1000 % 10, number % 1000
        row, column = divmod(cell, CELLS[scale][1])
        stride = SPEC.strides[scale]
        assert (x, y) == ((column + 0.5) * stride, (row + 0.5) * stride)
        assert (w, h) == SPEC.anchors[scale][anchor]


@pytest.mark.parametrize(
    "wrong",
    [
        DetectorSpec((8, 4), SPEC.anchors, 0.3, 0.5, 24),
        DetectorSpec((4, 8), SPEC.anchors[::-1], 0.3, 0.5, 24),
        DetectorSpec((4, 8), tuple(scale[::-1] for scale in SPEC.anchors), 0.3, 0.5, 24),
    ],
)
def test_strides_and_anchors_of_another_detector_do_not_give_the_same_boxes(wrong):
    planted = random_maps(0)
    expected = decode(planted, SPEC, HEIGHT, WIDTH).boxes
    with pytest.raises(Exception):  # noqa: B017, PT011  either maps that do not fit, or boxes that differ
        assert decode(planted, wrong, HEIGHT, WIDTH).boxes == pytest.approx(expected)


def test_only_the_best_candidates_are_looked_at(monkeypatch):
    some = random_maps(1)
    everything = decode(some, SPEC, HEIGHT, WIDTH, score=0, iou=1)
    monkeypatch.setattr(module, "CANDIDATES", 5)
    few = as_rows(decode(some, SPEC, HEIGHT, WIDTH, score=0, iou=1))
    assert 0 < len(few) <= 5 < len(everything.scores)  # of the five best, some lie out of view
    assert few == as_rows(everything)[: len(few)]
