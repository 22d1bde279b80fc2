"""A bundle finds the boxes that torch finds, and says so when it cannot."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted_detector import LABELS, MEAN, SIDE, SPEC, STD, images, network

from dwca_export.detect.boxes import overlaps
from dwca_export.detect.decode import decode
from dwca_export.detect.detector import Detector
from dwca_export.detect.letterbox import letterbox
from dwca_export.detect.spec import DetectorSpec
from dwca_export.errors import ConversionError, InputRefusedError
from dwca_export.load import load
from dwca_export.pipeline import export
from dwca_export.request import ExportRequest
from dwca_export.zoo import with_zoo


def by_torch(pixels, spec=SPEC, module=None, mean=MEAN, std=STD):
    """What the original network finds in an image of its own size."""
    planes = torch.from_numpy((pixels.transpose(2, 0, 1)[None] / 255 - mean) / std).float()
    with torch.no_grad():
        return decode([one.numpy() for one in (module or network())(planes)], spec, *pixels.shape[:2])


def unlike(found, expected, *, score, pixels, unsure=0.0):
    """Boxes of either that the other has not: of the same class, in the same place, with the same score.

    Args:
        found: Boxes.
        expected: Boxes.
        score: How far scores may differ.
        pixels: How far sides may lie apart.
        unsure: How far above the threshold a score has to be for its box to count.
    """
    faults = []
    for one, other in ((found, expected), (expected, found)):
        for box, value, label in zip(one.boxes, one.scores, one.labels, strict=True):
            same = (other.labels == label) & (np.abs(other.scores - value) <= score)
            same &= np.abs(other.boxes - box).max(axis=1) <= pixels
            if value >= SPEC.score_threshold + unsure and not same.any():
                faults.append((LABELS[label], float(value), box.tolist()))
    return faults


def edit(bundle, change):
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.fixture
def bundle(detector_bundle, tmp_path):
    """A copy, to be changed."""
    return shutil.copytree(detector_bundle, tmp_path / "planted_ncnn_model")


def test_the_boxes_of_torch(detector_bundle):
    with Detector(detector_bundle) as detector:
        for pixels in images(4):
            found, expected = detector.detect(pixels), by_torch(pixels)
            assert len(expected.scores) == len(found.scores) > 3
            assert len(set(expected.labels.tolist())) > 1
            assert unlike(found, expected, score=1e-4, pixels=1e-2) == []


def test_the_boxes_of_torch_with_fp16_weights(detector_bundle):
    with Detector(detector_bundle, precision="fp16") as detector:
        for pixels in images(4):
            found = detector.detect(pixels)
            assert len(found.scores) > 3
            assert unlike(found, by_torch(pixels), score=0.02, pixels=0.3, unsure=0.02) == []


def same(found, expected):
    """Whether all boxes are the same, in the same order."""
    return (
        found.labels.tolist() == expected.labels.tolist()
        and np.allclose(found.scores, expected.scores, rtol=0, atol=1e-4)
        and np.allclose(found.boxes, expected.boxes, rtol=0, atol=1e-2)
    )


def test_the_boxes_of_torch_by_the_detector_of_the_zoo(tmp_path):
    request = with_zoo(ExportRequest(model=Path("zoo:thin_detector_dwca"), out=tmp_path), "zoo:thin_detector_dwca")
    loaded = load(request.model, arch=request.arch)
    spec = replace(DetectorSpec.from_document(loaded.card["detection"]), score_threshold=0.2)
    with np.load(request.images) as samples:
        scenes = samples["images"][:4]
    with Detector(export(request).bundle, score=spec.score_threshold) as detector:
        found = [detector.detect(pixels) for pixels in scenes]
    by_card = {key: np.reshape(loaded.card["input"][key], (3, 1, 1)) for key in ("mean", "std")}
    module = loaded.model.eval()
    expected = [by_torch(pixels, spec, module, **by_card) for pixels in scenes]
    assert all(len(one.scores) > 0 for one in expected)
    assert all(map(same, found, expected))
    mirrored = [by_torch(pixels[:, ::-1], spec, module, **by_card) for pixels in scenes]
    assert not any(map(same, found, mirrored))


WRONG_ANCHORS = [
    pytest.param(lambda anchors: anchors[::-1], id="scales exchanged"),
    pytest.param(lambda anchors: [scale[::-1] for scale in anchors], id="anchors exchanged"),
    pytest.param(lambda anchors: [[size[::-1] for size in scale] for scale in anchors], id="sides exchanged"),
    pytest.param(lambda anchors: [[[1.1 * side for side in size] for size in scale] for scale in anchors], id="larger"),
]


@pytest.mark.parametrize("wrong", WRONG_ANCHORS)
def test_wrong_anchors_do_not_give_the_boxes_of_torch(bundle, wrong):
    edit(bundle, lambda manifest: manifest["detection"].update(anchors=wrong(manifest["detection"]["anchors"])))
    with Detector(bundle) as detector:
        found = detector.detect(images(1)[0])
    assert unlike(found, by_torch(images(1)[0]), score=0.02, pixels=0.3, unsure=0.02)


def exchange(entries, one, other):
    entries[one], entries[other] = entries[other], entries[one]


FAULTS = [
    pytest.param(lambda manifest: exchange(manifest["outputs"], 0, 1), id="logits and boxes exchanged"),
    pytest.param(lambda manifest: manifest["outputs"].reverse(), id="outputs reversed"),
    pytest.param(lambda manifest: manifest["detection"].update(strides=[4, 8, 32]), id="wrong stride"),
    pytest.param(lambda manifest: manifest["detection"].update(strides=[4, 16, 8]), id="strides exchanged"),
    pytest.param(lambda manifest: manifest["detection"]["anchors"].pop(), id="a scale without anchors"),
    pytest.param(lambda manifest: manifest["detection"].pop("iou_threshold"), id="no threshold"),
    pytest.param(lambda manifest: manifest.update(labels=["knife"]), id="too few labels"),
    pytest.param(lambda manifest: manifest.update(labels=[]), id="no labels"),
    pytest.param(lambda manifest: manifest.update(detection="anchors"), id="no object"),
]


@pytest.mark.parametrize("change", FAULTS)
def test_a_manifest_that_does_not_fit_the_network_is_refused(bundle, change):
    edit(bundle, change)
    with pytest.raises(InputRefusedError) as caught:
        Detector(bundle)
    assert caught.value.where == "detection"
    assert caught.value.hint


@pytest.mark.parametrize("change", [lambda m: m.update(detection=None), lambda m: m.pop("detection")])
def test_a_bundle_of_no_detector_is_refused(bundle, change):
    edit(bundle, change)
    with pytest.raises(InputRefusedError, match="does not say how its outputs hold boxes"):
        Detector(bundle)


def test_a_bundle_without_preprocessing_is_refused(bundle):
    edit(bundle, lambda manifest: manifest["inputs"][0].update(preprocessing=None))
    with pytest.raises(InputRefusedError, match="how pixels become its input"):
        Detector(bundle)


def test_a_changed_file_is_refused(bundle):
    (bundle / "model.ncnn.bin").write_bytes(b"other weights")
    with pytest.raises(InputRefusedError, match=r"model\.ncnn\.bin was changed"):
        Detector(bundle)


def test_thresholds_can_be_set(detector_bundle):
    pixels = images(1)[0]
    with Detector(detector_bundle, score=0.6, iou=0.2) as detector:
        found = detector.detect(pixels)
    expected = by_torch(pixels, replace(SPEC, score_threshold=0.6, iou_threshold=0.2))
    assert found.labels.tolist() == expected.labels.tolist()
    assert found.scores.min() >= 0.6


def test_across_classes_no_boxes_overlap(detector_bundle):
    with Detector(detector_bundle, across_classes=True) as detector:
        found = detector.detect(images(1)[0])
    shared = overlaps(found.boxes, found.boxes)
    assert len(found.scores) > 1
    assert not (shared[~np.eye(len(shared), dtype=bool)] > SPEC.iou_threshold).any()


def test_an_image_of_another_size_has_its_boxes_in_its_own_pixels(detector_bundle):
    large = images(1, 2 * SIDE, 4 * SIDE)[0]
    with Detector(detector_bundle, score=0.02) as detector:
        found = detector.detect(large)
        # A quarter of the size, with eight rows of border above and below.
        expected = detector.detect(letterbox(large, 3, SIDE, SIDE)[0])
    boxes = np.clip((expected.boxes - [0, 8, 0, 8]) * 4, 0, [4 * SIDE, 2 * SIDE] * 2)
    inside = boxes[:, 3] > boxes[:, 1]
    assert len(found.scores) == inside.sum() > 3
    assert found.boxes == pytest.approx(boxes[inside], abs=1e-3)
    assert found.scores == pytest.approx(expected.scores[inside])


@pytest.mark.filterwarnings("ignore:overflow")
def test_numbers_that_are_none_are_an_error(bundle):
    """Preprocessing by which every input is infinite."""
    edit(bundle, lambda manifest: manifest["inputs"][0]["preprocessing"].update(std=[1e-45]))
    with Detector(bundle) as detector, pytest.raises(ConversionError, match="NaN or infinity"):
        detector.detect(images(1)[0])
