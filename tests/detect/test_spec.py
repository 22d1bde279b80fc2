from __future__ import annotations

import json

import pytest

from dwca_export.detect.spec import DetectorSpec
from dwca_export.errors import InputRefusedError

DOCUMENT = {
    "strides": [4, 8],
    "anchors": [[[8.0, 4.0], [4.0, 8.0], [6.5, 6.5]], [[16.0, 8.0], [8.0, 16.0], [12.0, 12.0]]],
    "score_threshold": 0.3,
    "iou_threshold": 0.5,
    "image_size": 32,
}
SPEC = DetectorSpec.from_document(DOCUMENT)
CLASSES = 11
SHAPES = [[1, 33, 8, 8], [1, 12, 8, 8], [1, 33, 4, 4], [1, 12, 4, 4]]


def test_what_was_written_is_read():
    assert SPEC.document() == DOCUMENT
    assert DetectorSpec.from_document(json.loads(json.dumps(SPEC.document()))) == SPEC


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("strides", [4]),
        ("strides", [4, 4]),
        ("strides", [4, 0]),
        ("strides", [4, 8.0]),
        ("strides", [True, 8]),
        ("strides", "48"),
        ("strides", None),
        ("strides", []),
        ("anchors", None),
        ("anchors", DOCUMENT["anchors"][:1]),
        ("anchors", [DOCUMENT["anchors"][0], DOCUMENT["anchors"][1][:2]]),
        ("anchors", [[[8, 4, 1]], [[16, 8]]]),
        ("anchors", [[[8, 0]], [[16, 8]]]),
        ("anchors", [[[8, float("nan")]], [[16, 8]]]),
        ("anchors", [[["8", 4]], [[16, 8]]]),
        ("anchors", [[], []]),
        ("score_threshold", None),
        ("score_threshold", 1.5),
        ("score_threshold", float("nan")),
        ("score_threshold", True),
        ("iou_threshold", -0.1),
        ("iou_threshold", "0.5"),
        ("image_size", 0),
        ("image_size", 96.0),
        ("image_size", None),
    ],
)
def test_what_cannot_be_is_refused(key, value):
    with pytest.raises(InputRefusedError) as caught:
        DetectorSpec.from_document({**DOCUMENT, key: value})
    assert caught.value.where == "detection"
    assert caught.value.hint


@pytest.mark.parametrize("document", [None, [], "detector", 3])
def test_what_is_no_object_is_refused(document):
    with pytest.raises(InputRefusedError, match="no JSON object"):
        DetectorSpec.from_document(document)


def test_maps_that_fit_are_let_through():
    SPEC.check_maps(SHAPES, CLASSES, (32, 32))
    SPEC.check_maps([[1, 33, 8, 5], [1, 12, 8, 5], [1, 33, 4, 3], [1, 12, 4, 3]], CLASSES, (30, 20))  # rounded up


@pytest.mark.parametrize(
    ("shapes", "classes", "size"),
    [
        ([SHAPES[1], SHAPES[0], *SHAPES[2:]], CLASSES, (32, 32)),  # logits and boxes exchanged
        ([*SHAPES[2:], *SHAPES[:2]], CLASSES, (32, 32)),  # scales exchanged
        (SHAPES[:2], CLASSES, (32, 32)),
        ([*SHAPES, SHAPES[0]], CLASSES, (32, 32)),
        (SHAPES, CLASSES - 1, (32, 32)),
        (SHAPES, CLASSES, (64, 64)),
        ([[1, 363], *SHAPES[1:]], CLASSES, (32, 32)),
    ],
)
def test_maps_of_another_detector_are_refused(shapes, classes, size):
    with pytest.raises(InputRefusedError):
        SPEC.check_maps(shapes, classes, size)


@pytest.mark.parametrize(
    "changed",
    [
        {"strides": [4, 16]},
        {"strides": [8, 4]},
        {"anchors": [scale[:2] for scale in DOCUMENT["anchors"]]},
    ],
)
def test_a_spec_of_another_detector_is_refused(changed):
    with pytest.raises(InputRefusedError):
        DetectorSpec.from_document({**DOCUMENT, **changed}).check_maps(SHAPES, CLASSES, (32, 32))
