"""`dwca-detect`: what it prints, what it draws, and how it refuses what it cannot do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import child_environment, contents, run_here
from PIL import Image
from planted_detector import LABELS, SIDE, detector_bundle, images

from dwca_export.cli.detect import app

__all__ = ["detector_bundle"]


@pytest.fixture
def detect(monkeypatch, capsys, tmp_path, detector_bundle):
    """`detect(*arguments)`: run `dwca-detect` on the planted bundle, in a folder with three images."""
    monkeypatch.chdir(tmp_path)
    for index, pixels in enumerate(images(3, 48, 64)):
        Image.fromarray(pixels).save(tmp_path / f"scene-{index}.png")
    np.save(tmp_path / "exact.npy", images(2))

    def call(*arguments, bundle=detector_bundle):
        return run_here(app, "dwca-detect", [bundle, *arguments], monkeypatch, capsys)

    return call


def refused(ran, code, *words):
    """Whether a command ended with an error of one line and a hint, and printed nothing else."""
    text = ran.err.lower()
    assert (ran.code, ran.out) == (code, "")
    assert text.startswith("error: ")
    assert "traceback" not in text
    assert all(word in text for word in words), text
    return True


def test_boxes_are_listed_and_drawn(detect, tmp_path):
    ran = detect("scene-0.png", "scene-1.png", "--out", "drawn")
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(detect("scene-0.png", "scene-1.png", "--no-pictures", "--json").out)
    lines = ran.out.splitlines()
    assert lines[0].split() == ["image", "label", "score", "x0", "y0", "x1", "y1"]
    rows = [
        [one["image"], box["label"], f"{box['score']:.2f}", *(f"{side:.1f}" for side in box["box"])]
        for one in document["images"]
        for box in one["boxes"]
    ]
    assert [line.split() for line in lines[1 : 1 + len(rows)]] == rows
    assert len(rows) > 5
    assert lines[-1] == f"{len(rows)} boxes in 2 images, scores from 0.3; drawn in drawn"
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["scene-0.png", "scene-1.png"]
    assert Image.open(tmp_path / "drawn" / "scene-0.png").size == (640, 480)


def test_the_document(detect):
    document = json.loads(detect("scene-0.png", "exact.npy", "--out", "drawn", "--json", "--score", "0.5").out)
    assert document.keys() == {"score_threshold", "iou_threshold", "images"}
    assert (document["score_threshold"], document["iou_threshold"]) == (0.5, 0.5)
    first, *others = document["images"]
    assert (first["image"], first["height"], first["width"]) == ("scene-0.png", 48, 64)
    assert first["picture"] == str(Path("drawn") / "scene-0.png")
    assert [one["image"] for one in others] == ["exact.npy[0]", "exact.npy[1]"]
    assert [Path(one["picture"]).name for one in others] == ["exact-0.png", "exact-1.png"]
    for one in document["images"]:
        for box in one["boxes"]:
            x0, y0, x1, y1 = box["box"]
            assert box["label"] in LABELS
            assert 0.5 <= box["score"] <= 1
            assert 0 <= x0 < x1 <= one["width"]
            assert 0 <= y0 < y1 <= one["height"]


def test_pictures_go_to_the_current_folder(detect, tmp_path):
    assert detect("exact.npy", "--quiet").out == ""
    assert {"exact-0.png", "exact-1.png"} < {path.name for path in tmp_path.iterdir()}


NAMES = [
    ("photo[1].png", {"photo[1].png": "photo[1].png"}),
    ("photo.old.png", {"photo.old.png": "photo.old.png"}),
    ("[x].npy", {"[x].npy[0]": "[x]-0.png", "[x].npy[1]": "[x]-1.png"}),
]


@pytest.mark.parametrize(("name", "expected"), NAMES)
def test_brackets_and_dots_in_names_stay(detect, tmp_path, name, expected):
    shutil.copy(tmp_path / ("exact.npy" if name.endswith("npy") else "scene-0.png"), tmp_path / name)
    document = json.loads(detect(name, "--out", "drawn", "--json").out)
    assert {one["image"]: Path(one["picture"]).name for one in document["images"]} == expected
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == set(expected.values())


def test_an_image_on_which_nothing_is_found(detect):
    ran = detect("scene-0.png", "--score", "1", "--no-pictures")
    assert ran.out.splitlines()[1].split() == ["scene-0.png", "nothing"]
    assert ran.out.splitlines()[-1] == "0 boxes in 1 image, scores from 1"


def test_options_reach_what_they_are_for(detect):
    def boxes(*options):
        ran = detect("exact.npy", "--no-pictures", "--json", "--score", "0.1", *options)
        return json.loads(ran.out)["images"][0]["boxes"]

    plain = boxes()
    assert len(boxes("--iou", "0")) < len(plain) < len(boxes("--iou", "1"))
    assert len(boxes("--across-classes")) < len(plain)
    assert boxes("--precision", "fp16") != plain
    assert boxes("--mode", "bf16-storage") != plain


def test_older_pictures_are_not_replaced_unasked(detect, tmp_path):
    (tmp_path / "scene-1-older").write_text("")
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "scene-1.png").write_text("older")
    before = contents(tmp_path)
    assert refused(detect("scene-0.png", "scene-1.png", "--out", "drawn"), 2, "scene-1.png", "--force")
    assert contents(tmp_path) == before
    assert detect("scene-0.png", "scene-1.png", "--out", "drawn", "--force").code == 0
    assert Image.open(tmp_path / "drawn" / "scene-1.png").size == (640, 480)


@pytest.mark.parametrize("options", [[], ["--force"], ["--force", "--out", "drawn/.."]])
def test_an_image_is_not_replaced_by_its_own_picture(detect, tmp_path, options):
    (tmp_path / "drawn").mkdir()
    before = contents(tmp_path)
    assert refused(detect("scene-0.png", *options), 2, "is one of the images", "choose another --out")
    assert contents(tmp_path) == before


def test_two_images_of_one_name(detect, tmp_path):
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "scene-0.png", tmp_path / "other")
    assert refused(detect("scene-0.png", "other/scene-0.png", "--out", "drawn"), 2, "of this name")


def text_file(path):
    path.write_text("no image")


def truncated(path):
    path.write_bytes((path.parent / "scene-0.png").read_bytes()[:300])


BAD_IMAGES = [
    pytest.param("absent.png", None, 2, "no such file", id="absent"),
    pytest.param("folder.png", lambda path: path.mkdir(), 2, "folder", id="a folder"),
    pytest.param("text.png", text_file, 3, "not an image", id="text"),
    pytest.param("cut.png", truncated, 3, "not an image", id="truncated"),
    pytest.param("text.npy", text_file, 3, "neither", id="text as an array"),
    pytest.param("floats.npy", lambda path: np.save(path, images(2) / 255), 3, "uint8", id="floats"),
    pytest.param("single.npy", lambda path: np.save(path, images(1)[0]), 3, "first axis", id="no batch axis"),
    pytest.param(
        "five.npy", lambda path: np.save(path, np.zeros((1, 9, 9, 5), np.uint8)), 3, "channels", id="channels"
    ),
    pytest.param("none.npy", lambda path: np.save(path, np.zeros((0, 9, 9, 3), np.uint8)), 3, "uint8", id="no images"),
    pytest.param("flat.npy", lambda path: np.save(path, np.zeros((9, 9), np.uint8)), 3, "uint8", id="rank 2"),
    pytest.param("two.npz", lambda path: np.savez(path, a=images(1), b=images(1)), 3, "images", id="two arrays"),
]


@pytest.mark.parametrize(("name", "make", "code", "word"), BAD_IMAGES)
def test_an_image_that_cannot_be_used(detect, tmp_path, name, make, code, word):
    if make:
        make(tmp_path / name)
    before = contents(tmp_path)
    assert refused(detect("scene-0.png", name, "--out", "drawn"), code, word, name)
    assert contents(tmp_path) == before  # no picture of the image that could be read either


def test_errors_are_a_document_too(detect):
    ran = detect("absent.png", "--json")
    assert json.loads(ran.out)["error"]["kind"] == "UsageError"
    assert json.loads(ran.out)["error"]["exit_code"] == ran.code == 2


BAD_OPTIONS = [
    (["--score", "1.5"], "score"),
    (["--score", "nan"], "score"),
    (["--iou", "-1"], "iou"),
    (["--mode", "fp8"], "fp8"),
    (["--threads", "0"], "threads"),
    (["--no-pictures", "--out", "x"], "--out"),
    (["--no-pictures", "--force"], "--force"),
    (["--planted"], "planted"),
]


@pytest.mark.parametrize(("options", "word"), BAD_OPTIONS)
def test_an_option_that_cannot_be_obeyed(detect, options, word):
    assert refused(detect("exact.npy", *options), 2, word)


def test_no_image(detect):
    assert refused(detect(), 2, "image")


def test_weights_that_the_bundle_does_not_have(detect):
    assert refused(detect("exact.npy", "--precision", "int8"), 3, "no int8 weights", "fp32, fp16")


def test_what_is_no_bundle(detect, tmp_path):
    assert refused(detect("exact.npy", bundle=tmp_path / "absent"), 3, "no such folder")
    assert refused(detect("exact.npy", bundle=tmp_path / "exact.npy"), 3, "a bundle is a folder")
    assert refused(detect("exact.npy", bundle=tmp_path), 3, "no readable manifest")


def test_a_folder_that_does_not_take_the_pictures(detect):
    assert refused(detect("exact.npy", "--out", "scene-0.png"), 2, "cannot be written")


WITHOUT_PILLOW = """
import sys

class Ban:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("PIL", "torch", "onnx"):
            raise ImportError(f"{name} is banned")

sys.meta_path.insert(0, Ban())
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "PIL" else find(name, *more)
from dwca_export.cli import detect
detect.main()
"""


def without_pillow(folder, *arguments):
    command = [sys.executable, "-c", WITHOUT_PILLOW, *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=child_environment(), capture_output=True, text=True, timeout=120, check=False
    )


def test_without_pillow_arrays_of_the_right_size_do(detect, detector_bundle, tmp_path):
    done = without_pillow(tmp_path, detector_bundle, "exact.npy", "--no-pictures", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == json.loads(detect("exact.npy", "--no-pictures", "--json").out)


@pytest.mark.parametrize("arguments", [["exact.npy"], ["scene-0.png", "--no-pictures"], ["other.npy", "--no-pictures"]])
def test_without_pillow_the_rest_says_what_to_install(detect, detector_bundle, tmp_path, arguments):
    np.save(tmp_path / "other.npy", images(1, SIDE // 2, SIDE * 2))
    done = without_pillow(tmp_path, detector_bundle, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install pillow" in done.stderr
    assert "Traceback" not in done.stderr
