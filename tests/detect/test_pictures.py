from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from dwca_export.detect.decode import Detections
from dwca_export.detect.pictures import COLOURS, LEAST_SIDE, check_targets, draw, write_all
from dwca_export.errors import UsageError

LABELS = ("knife", "baton")


def found(*rows):
    """Rows of label, score and corners."""
    boxes = np.array([corners for _, _, corners in rows], np.float32).reshape(-1, 4)
    scores, labels = np.array([score for _, score, _ in rows], np.float32), np.array([label for label, _, _ in rows])
    return Detections(boxes, scores, labels.astype(np.int64))


def drawn(pixels, detections):
    return np.asarray(Image.open(io.BytesIO(draw(pixels, detections, LABELS))))


def is_colour(picture, label):
    return (picture == ImageColor.getrgb(COLOURS[label])).all(axis=2)


def test_a_box_is_where_it_is_said_to_be():
    picture = drawn(np.zeros((96, 96, 3), np.uint8), found((1, 0.5, [20, 30, 60, 50])))
    assert picture.shape == (480, 480, 3)
    edges = is_colour(picture, 1)
    assert edges[150:251, [100, 101, 299, 300]].all()
    assert edges[[250, 249]][:, 100:301].all()
    assert not edges[160:240, 110:290].any()
    assert not is_colour(picture, 0).any()


def test_a_strip_is_not_enlarged_to_gigabytes():
    picture = drawn(np.zeros((2, 1000, 3), np.uint8), found())
    assert picture.shape == (8, 4000, 3)
    assert drawn(np.zeros((2, 6000, 3), np.uint8), found()).shape == (2, 6000, 3)


def test_nothing_found_is_the_image_enlarged():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    factor = LEAST_SIDE // 40
    np.testing.assert_array_equal(drawn(pixels, found()), pixels.repeat(factor, 0).repeat(factor, 1))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_large_images_keep_their_size(channels):
    picture = drawn(np.zeros((500, 700, channels), np.uint8), found((0, 0.9, [0, 0, 700, 500])))
    assert picture.shape == (500, 700, 3)
    assert is_colour(picture, 0)[[0, -1]].all()


def test_labels_of_boxes_at_the_edges_stay_in_the_picture():
    picture = drawn(np.zeros((480, 480, 3), np.uint8), found((0, 0.9, [470, 0, 480, 480]), (1, 0.8, [0, 470, 9, 480])))
    assert is_colour(picture, 0).sum() > 1500
    assert is_colour(picture, 1).sum() > 300


def test_older_files_are_not_replaced_unasked(tmp_path):
    target = tmp_path / "a.png"
    target.write_text("older")
    with pytest.raises(UsageError, match="exists already"):
        check_targets([target], [], force=False)
    check_targets([target], [], force=True)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        check_targets([tmp_path / "b.png"], [], force=True)


@pytest.mark.parametrize("force", [False, True])
def test_images_are_not_replaced(tmp_path, monkeypatch, force):
    image, link, other = (tmp_path / name for name in ("a.png", "link.png", "other.png"))
    for path in (image, other):
        path.write_text("an image")
    link.symlink_to(image)
    monkeypatch.chdir(tmp_path)
    for target in (image, link, Path("a.png"), Path("..") / tmp_path.name / "a.png"):
        with pytest.raises(UsageError, match="is one of the images"):
            check_targets([tmp_path / "new.png", target], [other, image], force=force)
    with pytest.raises(UsageError, match="is one of the images"):
        check_targets([image], [link], force=force)
    check_targets([other], [image], force=True)


def test_two_pictures_of_one_name_are_refused(tmp_path):
    with pytest.raises(UsageError, match="of this name"):
        check_targets([tmp_path / "a.png", tmp_path / "a.png"], [], force=True)


def test_files_are_written_and_nothing_else(tmp_path):
    folder = tmp_path / "new" / "folder"
    write_all({folder / "a.png": b"a", folder / "b.png": b"b"}, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "b.png"]
    assert (folder / "b.png").read_bytes() == b"b"


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_all({tmp_path / "file" / "a.png": b""}, tmp_path / "file")
