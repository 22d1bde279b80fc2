"""`dwca-parity --images`: the modes beside fp32 on the user's data."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import onnx
import pytest
from bundles import edit_manifest, edit_weights, read_json
from PIL import Image

from dwca_export.pipeline import export
from dwca_export.request import ExportRequest


@pytest.fixture
def folder(tmp_path, pixels):
    """A folder of images, of the network's size and of others."""
    place = tmp_path / "images"
    place.mkdir()
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(place / f"{index}.png")
    Image.fromarray(np.tile(pixels[0], (2, 3, 1))).save(place / "large.png")
    Image.fromarray(pixels[0, :, :, 0]).save(place / "grey.png")
    return place


def on(judge, bundle, path, *arguments):
    ran = judge(bundle, "--images", path, "--json", *arguments)
    return ran.code, json.loads(ran.out)


def test_a_folder_of_images(judge, exported, folder):
    code, document = on(judge, exported, folder)
    assert code == 0
    images = document["images"]
    assert (images["origin"], images["count"]) == ("5 images of images/", 5)
    assert images["reference"] == {"precision": "fp32", "mode": "fp32"}
    run = [(one["precision"], one["mode"]) for one in document["modes"] if one["status"] != "not run"]
    assert [(one["precision"], one["mode"]) for one in images["modes"]] == run[1:]
    for one in images["modes"]:
        assert one["status"] == "passed"
        assert one["outputs"][0]["samples"] == 5
        assert 0 <= one["outputs"][0]["top1"] <= 1


def test_the_table_shows_the_agreement(judge, exported, folder):
    ran = judge(exported, "--images", folder)
    assert "5 images of images/, beside ncnn with fp32 weights in fp32\n" in ran.out
    assert " %" in ran.out


@pytest.mark.parametrize("name", ["images.npy", "images.npz", "inputs.npy"])
def test_arrays(judge, exported, tmp_path, pixels, name):
    path = tmp_path / name
    inputs = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
    if name.endswith("npz"):
        np.savez(path, images=pixels)
    else:
        np.save(path, pixels if name == "images.npy" else inputs)
    code, document = on(judge, exported, path)
    assert (code, document["images"]["count"]) == (0, 3)


def test_arrays_and_images_give_the_same_figures(judge, exported, tmp_path, pixels):
    np.save(tmp_path / "pixels.npy", pixels)
    np.save(tmp_path / "inputs.npy", np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / np.float32(255))
    one, other = (on(judge, exported, tmp_path / name)[1]["images"]["modes"] for name in ("pixels.npy", "inputs.npy"))
    assert [mode["outputs"] for mode in one] == [mode["outputs"] for mode in other]


def test_data_on_which_a_mode_differs_fail(judge, bundle, tmp_path, pixels):
    def change(weights):
        weights *= 3

    edit_weights(bundle, "stem", change)  # of fp32, which is the reference
    np.save(tmp_path / "images.npy", pixels)
    code, document = on(judge, bundle, tmp_path / "images.npy")
    assert code == 5
    fp16 = next(one for one in document["images"]["modes"] if (one["precision"], one["mode"]) == ("fp16", "fp32"))
    assert fp16["status"] == "failed"
    assert fp16["faults"][0].startswith("sample 0: output ")


def test_a_reference_that_is_not_finite(judge, bundle, tmp_path, pixels):
    edit_weights(bundle, "stem", lambda weights: weights.reshape(-1).__setitem__(0, np.nan))
    np.save(tmp_path / "images.npy", pixels)
    ran = judge(bundle, "--images", tmp_path / "images.npy")
    assert ran.code == 5
    assert "of the fp32 network holds NaN or infinity" in ran.err


def test_nothing_but_the_reference_says_so(judge, bundle, tmp_path, pixels):
    networks = read_json(bundle / "manifest.json")["networks"]
    edit_manifest(bundle, networks={"fp32": networks["fp32"]})
    np.save(tmp_path / "images.npy", pixels)
    code, document = on(judge, bundle, tmp_path / "images.npy", "--mode", "fp32")
    assert code == 0
    assert document["images"]["modes"] == []
    assert any("nothing was compared" in note for note in document["notes"])


def broken_png(place):
    (place / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")


def text_file(place):
    (place / "0.png").write_text("not an image")


def no_image(place):
    (place / "readme.txt").write_text("none here")


@pytest.mark.parametrize(
    ("fill", "fault"), [(broken_png, "not an image"), (text_file, "not an image"), (no_image, "no image in the folder")]
)
def test_images_that_are_none(judge, exported, tmp_path, fill, fault):
    place = tmp_path / "images"
    place.mkdir()
    fill(place)
    ran = judge(exported, "--images", place)
    assert (ran.code, ran.out) == (3, "")
    assert fault in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 24, 16, 3), np.uint8),
        np.zeros((0, 3, 24, 16), np.float32),
        np.zeros((2, 3, 8, 8), np.float32),
        np.zeros((2, 3, 24, 16), np.float64),
        np.full((2, 3, 24, 16), np.nan, np.float32),
    ],
)
def test_arrays_that_cannot_be_used(judge, exported, tmp_path, array):
    np.save(tmp_path / "array.npy", array)
    ran = judge(exported, "--images", tmp_path / "array.npy")
    assert (ran.code, ran.out) == (3, "")
    assert "array.npy: " in ran.err


def test_data_that_are_not_there(judge, exported, tmp_path):
    ran = judge(exported, "--images", tmp_path / "nothing")
    assert (ran.code, ran.out) == (2, "")
    assert "--images: no such file or folder" in ran.err


@pytest.fixture
def without_pillow(monkeypatch):
    find_spec = importlib.util.find_spec
    hidden = lambda name, *more: None if name == "PIL" else find_spec(name, *more)  # noqa: E731
    monkeypatch.setattr("dwca_export.audit.user_data.find_spec", hidden)


def test_images_without_pillow(judge, exported, folder, without_pillow):
    ran = judge(exported, "--images", folder)
    assert ran.code == 2
    assert "0.png is an image file, and pillow is not installed\n  -> pip install pillow" in ran.err


def test_pixels_of_another_size_without_pillow(judge, exported, tmp_path, without_pillow):
    np.save(tmp_path / "images.npy", np.zeros((2, 9, 9, 3), np.uint8))
    ran = judge(exported, "--images", tmp_path / "images.npy")
    assert ran.code == 2
    assert "pixels of 9x9x3 have to be brought to the input's size, and pillow is not installed" in ran.err


def test_pixels_of_the_networks_size_need_no_pillow(judge, exported, tmp_path, pixels, without_pillow):
    np.save(tmp_path / "images.npy", pixels)
    assert judge(exported, "--images", tmp_path / "images.npy", "-q").code == 0


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A bundle whose output is laid out as that of a detector with two classes: 1 x 6 x 40; it passes its input on."""
    shape = (1, 6, 40)
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "relu", values[:1], values[1:])
    opset = [onnx.helper.make_opsetid("", 18)]
    folder = tmp_path_factory.mktemp("detector")
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), folder / "detector.onnx")
    return export(ExportRequest(model=folder / "detector.onnx")).bundle


@pytest.fixture
def candidates(tmp_path):
    """Outputs of a detector, as its inputs."""
    array = np.random.default_rng(0).uniform(0, 1, (3, 6, 40)).astype(np.float32)
    array[:, 2:4] += 1  # width and height: boxes that are large beside the rounding of their corners
    np.save(tmp_path / "candidates.npy", array)
    return tmp_path / "candidates.npy"


def test_boxes_are_compared_where_the_labels_tell_the_layout(judge, detector, candidates, tmp_path):
    bundle = shutil.copytree(detector, tmp_path / "bundle")
    edit_manifest(bundle, labels=["cat", "dog"])
    code, document = on(judge, bundle, candidates)
    assert code == 0
    assert document["images"]["modes"]
    for one in document["images"]["modes"]:
        assert one["boxes"]["candidates"] > 50
        assert one["boxes"]["agreed"] >= 0.9 * one["boxes"]["candidates"]
        assert one["boxes"]["least_iou"] > 0.9
    assert not any("boxes" in note for note in document["notes"])
    assert "least IoU" in judge(bundle, "--images", candidates).out


def test_that_boxes_are_not_compared_is_said(judge, detector, candidates):
    code, document = on(judge, detector, candidates)
    assert code == 0
    assert all(one["boxes"] is None for one in document["images"]["modes"])
    assert any(note.startswith("boxes and scores were not compared") for note in document["notes"])
