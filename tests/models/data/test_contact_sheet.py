from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from models.data import contact_sheet, thin_objects


def test_a_sheet_of_every_part_is_written(drawn_set, tmp_path):
    assert contact_sheet.main([str(drawn_set), "--out", str(tmp_path)]) == 0
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["data-test.png", "data-train.png", "data-validation.png"]
    for file in tmp_path.iterdir():
        assert file.stat().st_size < 200_000
        assert np.asarray(Image.open(file).convert("RGB")).std() > 30


def test_rows_are_classes_from_short_to_long(drawn_set):
    objects = thin_objects.load_objects(drawn_set, "train")
    for label in range(11):
        chosen = contact_sheet._by_length(objects, label)
        assert set(objects.labels[chosen]) == {label}
        assert (np.diff(objects.lengths[chosen]) >= 0).all()


def test_boxes_are_drawn_around_the_objects(drawn_set):
    scenes = thin_objects.load_scenes(drawn_set, "train")
    image = np.asarray(contact_sheet._with_boxes(scenes, 0))
    x0, y0, x1, y1 = np.clip(scenes.boxes[0].round().astype(int) + np.array((-1, -1, 0, 0)), 0, 95)
    assert (image[y0, x0:x1] == contact_sheet._BOX).all()
    assert (image[y0:y1, x0] == contact_sheet._BOX).all()


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_a_folder_that_cannot_be_written_is_said(drawn_set, tmp_path, place, capsys):
    (tmp_path / "file").write_text("")
    assert contact_sheet.main([str(drawn_set), "--out", str(tmp_path / place)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_an_absent_set_is_said(tmp_path, capsys):
    assert contact_sheet.main([str(tmp_path / "none"), "--out", str(tmp_path)]) == 3
    assert "no built data set" in capsys.readouterr().err


def test_a_sheet_that_cannot_be_written_whole_leaves_the_older_one(tmp_path, monkeypatch):
    sheet = tmp_path / "data-test.png"
    sheet.write_bytes(b"older")

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        contact_sheet._write(sheet, Image.new("RGB", (8, 8)))
    assert [file.name for file in tmp_path.iterdir()] == ["data-test.png"]
    assert sheet.read_bytes() == b"older"
