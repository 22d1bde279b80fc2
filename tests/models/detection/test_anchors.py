from __future__ import annotations

import numpy as np
import pytest

from dwca_export.errors import InputRefusedError
from models.detection.anchors import PER_SCALE, STRIDES, choose_anchors

SIZES = [(12, 4), (4, 12), (7, 7), (24, 8), (8, 24), (14, 14), (36, 12), (12, 36), (22, 22)]


def boxes(sizes, count=40, noise=0.0, seed=0):
    generator = np.random.default_rng(seed)
    sides = np.repeat(np.array(sizes, np.float32), count, axis=0)
    sides += generator.uniform(-noise, noise, sides.shape).astype(np.float32)
    corners = generator.uniform(0, 50, sides.shape).astype(np.float32)
    return generator.permutation(np.hstack([corners, corners + sides]))


def test_planted_shapes_are_found():
    anchors = choose_anchors(boxes(SIZES))
    assert len(anchors) == len(STRIDES)
    assert all(len(scale) == PER_SCALE for scale in anchors)
    assert sorted(anchor for scale in anchors for anchor in scale) == sorted((float(w), float(h)) for w, h in SIZES)


def test_scales_go_from_small_to_large_and_shapes_from_wide_to_tall():
    anchors = np.array(choose_anchors(boxes(SIZES, noise=1.0)))
    areas, shapes = anchors.prod(axis=2), anchors[..., 1] / anchors[..., 0]
    assert (areas[:-1].max(axis=1) < areas[1:].min(axis=1)).all()
    assert (np.diff(shapes, axis=1) > 0).all()


def test_the_order_of_the_boxes_does_not_matter():
    some = boxes(SIZES, noise=1.0)
    assert choose_anchors(some) == choose_anchors(some[::-1])


def test_boxes_of_one_size():
    assert choose_anchors(boxes([(10, 5)])) == (((10.0, 5.0),) * PER_SCALE,) * len(STRIDES)


def test_too_few_boxes_are_refused():
    with pytest.raises(InputRefusedError, match="8 boxes are too few for 9 anchors"):
        choose_anchors(boxes(SIZES, count=1)[:8])
