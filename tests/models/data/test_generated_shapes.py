from __future__ import annotations

import numpy as np
import pytest

from dwca_export.errors import UsageError
from models.data import shapes, thin_objects
from models.data.thin_objects import CLASSES, DESCRIPTION


def test_the_same_seed_gives_the_same_bytes(drawn_set, tmp_path):
    shapes.write(tmp_path / "again", objects=44, scenes=8)
    shapes.write(tmp_path / "other", objects=44, scenes=8, seed=1)
    files = sorted(file.name for file in drawn_set.iterdir())
    assert len(files) == 7
    assert all((drawn_set / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in files)
    assert thin_objects.dataset_sha256(tmp_path / "other") != thin_objects.dataset_sha256(drawn_set)


def test_classes_are_balanced_and_lengths_as_said(drawn_set):
    objects = thin_objects.load_objects(drawn_set, "train")
    assert np.bincount(objects.labels, minlength=len(CLASSES)).tolist() == [4] * len(CLASSES)
    assert 20 <= objects.lengths.min() <= objects.lengths.max() <= 40


def test_every_class_is_an_outline_of_full_length():
    assert tuple(shapes.OUTLINES) == CLASSES
    for outlines in shapes.OUTLINES.values():
        xs = np.concatenate([np.array(outline)[:, 0] for outline in outlines])
        assert (xs.min(), xs.max()) == (-1, 1)


def test_boxes_hold_something_brighter_than_what_is_around(drawn_set):
    scenes = thin_objects.load_scenes(drawn_set, "train")
    for box, scene in zip(scenes.boxes.round().astype(int), scenes.scene, strict=True):
        image = scenes.images[scene].max(2)
        x0, y0, x1, y1 = box
        assert image[y0:y1, x0:x1].max() > np.median(image) + 20


@pytest.mark.parametrize("wrong", [{"objects": 0}, {"scenes": 0}, {"seed": -1}])
def test_sizes_that_cannot_be_are_refused(tmp_path, wrong):
    with pytest.raises(UsageError, match="at least one"):
        shapes.write(tmp_path / "set", **wrong)
    assert not (tmp_path / "set").exists()


def test_the_command_writes_a_set_once(tmp_path, capsys):
    out = tmp_path / "deep" / "set"
    command = ["--out", str(out), "--objects", "11", "--scenes", "1"]
    assert shapes.main(command) == 0
    assert (out / DESCRIPTION).is_file()
    assert shapes.main(command) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert shapes.main([*command, "--force"]) == 0


def test_what_is_no_set_is_not_replaced(tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("dear")
    assert shapes.main(["--out", str(tmp_path), "--force"]) == 2
    assert "is not a built data set" in capsys.readouterr().err
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_a_file_in_the_way_of_the_folder_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert shapes.main(["--out", str(tmp_path / "file" / "set"), "--objects", "11", "--scenes", "1"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_failure_leaves_the_older_set_and_no_litter(tmp_path, monkeypatch):
    out = tmp_path / "set"
    shapes.write(out, objects=11, scenes=1)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    written = []

    def full_disk(file, *_args, **_kwargs):
        written.append(file)
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr("numpy.savez", full_disk)
    with pytest.raises(UsageError, match="No space left"):
        shapes.write(out, objects=11, scenes=1, seed=1, force=True)
    assert written
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert list(tmp_path.iterdir()) == [out]


def test_more_than_memory_holds_is_refused(tmp_path, capsys):
    assert shapes.main(["--out", str(tmp_path / "set"), "--objects", "99999999999"]) == 2
    assert "at most 100000 objects" in capsys.readouterr().err
