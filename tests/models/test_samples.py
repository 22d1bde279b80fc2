"""The committed test images."""

from __future__ import annotations

import json
import re
import resource
import shutil

import numpy as np
import pytest

from models import samples
from models.data import fashion, icons, shapes, thin_objects


def test_there_are_128_images_with_labels():
    split = samples.load()
    assert split.images.shape == (128, 28, 28)
    assert split.images.dtype == np.uint8
    assert split.labels.shape == (128,)
    assert set(split.labels.tolist()) == set(range(10))


@pytest.mark.skipif(not fashion.DIRECTORY.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_they_are_the_first_of_the_test_split():
    expected = samples.first(fashion.load(fashion.DIRECTORY).test)
    assert np.array_equal(samples.load().images, expected.images)
    assert np.array_equal(samples.load().labels, expected.labels)


# --- thin objects


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes") / "set"
    shapes.write(folder, objects=110, scenes=90)
    return folder


def test_samples_are_at_equal_distances():
    assert samples.spread(63).tolist() == list(range(0, 63, 2))
    chosen = samples.spread(4400)
    assert (len(chosen), chosen[0], chosen[-1]) == (32, 0, 4399)
    assert set(np.diff(chosen)) <= {141, 142}


@pytest.mark.parametrize("count", [1, 2, 31, 32])
def test_of_a_few_all_are_taken(count):
    assert samples.spread(count).tolist() == list(range(count))


def test_the_samples_of_objects_are_those_of_the_test_part(drawn, tmp_path):
    samples.write_thin(drawn, tmp_path)
    test, taken = thin_objects.load_objects(drawn, "test"), samples.load_objects(tmp_path / samples.OBJECTS)
    chosen = samples.spread(len(test.images))
    assert len(taken.images) == 32
    for name, array in vars(test).items():
        assert np.array_equal(getattr(taken, name), array[chosen])


def test_the_samples_of_scenes_keep_their_boxes(drawn, tmp_path):
    samples.write_thin(drawn, tmp_path)
    test, taken = thin_objects.load_scenes(drawn, "test"), samples.load_scenes(tmp_path / samples.SCENES)
    assert len(taken.images) == 32
    for index, image in enumerate(samples.spread(len(test.images))):
        assert np.array_equal(taken.images[index], test.images[image])
        for name in ("boxes", "labels", "lengths"):
            assert np.array_equal(getattr(taken, name)[taken.scene == index], getattr(test, name)[test.scene == image])


def test_the_same_set_gives_the_same_bytes(drawn, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        samples.write_thin(drawn, tmp_path / name)
    for name in (samples.OBJECTS, samples.SCENES, samples.CREDITS):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_credits_name_every_drawing_that_is_shown_and_every_source():
    description = {
        "name": "thin-objects",
        "icons": ["one:knife", "two:pen", "three:axe"],
        "credits": [
            {"prefix": "one", "name": "One", "author": "A. B.", "licence": "MIT", "url": "", "icons": 4},
            {"prefix": "two", "name": "Two", "author": "C", "licence": "ISC", "url": "there", "icons": 1},
            {"file": "cat.png", "sha256": "0", "part": "test", "credit": "D; CC0-1.0"},
        ],
    }
    shown = thin_objects.Objects(*(np.zeros(0),) * 3, icons=np.array([2, 0, 2], np.int32))
    lines = samples.credits_text(description, shown).splitlines()
    for line in (
        "one:knife",
        "three:axe",
        "one (One) by A. B.: MIT",
        "two (Two) by C: ISC there",
        "cat.png: D; CC0-1.0",
    ):
        assert f"  {line}" in lines
    assert "  two:pen" not in lines
    titles = [line for line in lines if line.startswith("-----")]
    assert titles == ["----- CC0-1.0 -----", "----- ISC -----", "----- MIT -----"]
    assert sum("Permission is hereby granted, free of charge" in line for line in lines) == 1


def test_every_licence_that_icons_may_have_has_its_text():
    assert {file.stem for file in samples.LICENCES.iterdir()} == set(icons.LICENCES)
    for name in ("Apache-2.0", "CC0-1.0"):
        assert "https://" in (samples.LICENCES / f"{name}.txt").read_text()


def test_the_committed_credits_do_not_ask_what_a_licence_does_not():
    text = (samples.ZOO / samples.CREDITS).read_text(encoding="utf-8")
    assert "Each asks" not in text
    licences = {"Apache-2.0", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT"}
    assert set(re.findall(r"^----- (\S+) -----$", text, re.MULTILINE)) == licences


@pytest.mark.parametrize("arguments", [["thin", "--data", "absent"], ["fashion", "--data", "absent"]])
def test_absent_data_are_refused(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert samples.main([*arguments, "--out", str(tmp_path)]) == 3
    assert "error: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_zoo_that_is_not_there_is_refused(drawn, tmp_path, capsys):
    assert samples.main(["thin", "--data", str(drawn), "--out", str(tmp_path / "absent")]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_older_files_stay_if_the_new_ones_cannot_be_written(drawn, tmp_path, capsys):
    (tmp_path / samples.OBJECTS).write_bytes(b"older")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        code = samples.main(["thin", "--data", str(drawn), "--out", str(tmp_path)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 2
    assert "cannot be written (File too large)" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == [samples.OBJECTS]
    assert (tmp_path / samples.OBJECTS).read_bytes() == b"older"


def test_a_file_that_cannot_be_replaced_is_said(drawn, tmp_path, capsys):
    (tmp_path / samples.SCENES).mkdir()
    assert samples.main(["thin", "--data", str(drawn), "--out", str(tmp_path)]) == 2
    assert "cannot be written (Is a directory)" in capsys.readouterr().err


def test_a_set_that_does_not_say_what_it_is_made_of_is_refused(drawn, tmp_path, capsys):
    shutil.copytree(drawn, tmp_path / "set")
    description = json.loads((drawn / thin_objects.DESCRIPTION).read_text())
    del description["credits"]
    (tmp_path / "set" / thin_objects.DESCRIPTION).write_text(json.dumps(description))
    (tmp_path / "zoo").mkdir()
    assert samples.main(["thin", "--data", str(tmp_path / "set"), "--out", str(tmp_path / "zoo")]) == 3
    assert "lacks what it was built from" in capsys.readouterr().err
    assert not list((tmp_path / "zoo").iterdir())
