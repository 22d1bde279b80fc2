from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from dwca_export.errors import InputRefusedError, UsageError
from models.data import thin_objects
from models.data.thin_objects import CLASSES, DESCRIPTION, LOOKALIKES


@pytest.fixture
def damaged(drawn_set, tmp_path):
    """A copy to damage."""
    return shutil.copytree(drawn_set, tmp_path / "set")


def describe_anew(folder, **changes):
    """Change the description, and bring its hashes up to date."""
    file = folder / DESCRIPTION
    description = {**json.loads(file.read_text()), **changes}
    description["sha256"] = {name: thin_objects.file_sha256(folder / name) for name in description["sha256"]}
    file.write_text(json.dumps(description))


def replant(folder, file_name, **changes):
    """Write arrays that differ from the right ones, with hashes that agree."""
    file = folder / file_name
    with np.load(file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays.update({name: change(arrays[name]) for name, change in changes.items()})
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    describe_anew(folder)


def test_objects_and_scenes_of_all_parts_are_read(drawn_set, part):
    objects = thin_objects.load_objects(drawn_set, part)
    scenes = thin_objects.load_scenes(drawn_set, part)
    assert objects.images.shape == (len(objects.labels), 64, 64, 3)
    assert scenes.images.shape[1:] == (96, 96, 3)
    assert len(scenes.boxes) == len(scenes.labels) == len(scenes.scene) == len(scenes.lengths)
    assert set(scenes.scene) <= set(range(len(scenes.images)))


def test_the_lookalikes_are_classes():
    assert len(CLASSES) == 11
    assert set(LOOKALIKES) < set(CLASSES)
    assert [thin_objects.class_index(name) for name in CLASSES] == list(range(11))


def test_an_unknown_class_is_refused():
    with pytest.raises(UsageError, match="'spoon' is not a class") as caught:
        thin_objects.class_index("spoon")
    assert "knife" in caught.value.hint


def test_an_unknown_part_is_refused(drawn_set):
    with pytest.raises(UsageError, match="'training' is not a part"):
        thin_objects.load_objects(drawn_set, "training")


def test_normalised_images_are_planar_and_centred():
    images = np.array([0, 127.5, 255]).astype(np.uint8)[:, None, None, None].repeat(3, 3)
    result = thin_objects.normalise(images)
    assert result.dtype == np.float32
    assert result.shape == (3, 3, 1, 1)
    assert result.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(result[:, 0, 0, 0], [-2, (127 / 255 - 0.5) / 0.25, 2], rtol=1e-6)


def test_the_folder_is_that_of_the_environment(drawn_set, monkeypatch):
    monkeypatch.setenv(thin_objects.ENVIRONMENT_VARIABLE, str(drawn_set))
    assert thin_objects.dataset_sha256(None) == thin_objects.dataset_sha256(drawn_set)
    assert len(thin_objects.load_objects(None, "test").labels)


def test_an_absent_set_says_how_to_build_it(tmp_path):
    with pytest.raises(InputRefusedError, match="no built data set") as caught:
        thin_objects.load_objects(tmp_path / "nowhere", "train")
    assert "models.data.build" in caught.value.hint


def test_the_hash_names_the_data_and_not_the_tools(damaged):
    before = thin_objects.dataset_sha256(damaged)
    describe_anew(damaged, packages={"numpy": "1.0"})
    assert thin_objects.dataset_sha256(damaged) == before
    replant(damaged, "objects-test.npz", images=lambda images: images ^ 1)
    assert thin_objects.dataset_sha256(damaged) != before


def test_a_changed_file_is_found_by_its_hash(damaged):
    file = damaged / "objects-train.npz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputRefusedError, match="SHA-256") as caught:
        thin_objects.load_objects(damaged, "train")
    assert "--force" in caught.value.hint
    thin_objects.load_objects(damaged, "test")  # the others are unharmed


def test_a_wrong_hash_in_the_description_is_found(damaged):
    file = damaged / DESCRIPTION
    description = json.loads(file.read_text())
    description["sha256"]["scenes-test.npz"] = "0" * 64
    file.write_text(json.dumps(description))
    with pytest.raises(InputRefusedError, match="SHA-256"):
        thin_objects.load_scenes(damaged, "test")


@pytest.mark.parametrize("with_right_hash", [False, True])
def test_a_truncated_file_is_refused(damaged, with_right_hash):
    file = damaged / "scenes-train.npz"
    file.write_bytes(file.read_bytes()[:-1000])
    if with_right_hash:
        describe_anew(damaged)
    with pytest.raises(InputRefusedError, match="cannot be read" if with_right_hash else "SHA-256"):
        thin_objects.load_scenes(damaged, "train")


def test_an_absent_file_is_refused(damaged):
    (damaged / "objects-test.npz").unlink()
    with pytest.raises(InputRefusedError, match="cannot be read"):
        thin_objects.load_objects(damaged, "test")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": lambda a: a + 11}, "not one of the 11 classes"),
        ({"labels": lambda a: a.astype(np.int64)}, "labels: int64"),
        ({"labels": lambda a: a[:-1]}, "labels: uint8"),
        ({"images": lambda a: a[:, :32]}, "images: uint8"),
        ({"images": lambda a: a.astype(np.float32)}, "images: float32"),
        ({"icons": lambda a: a + 100}, "icons: not all"),
        ({"icons": lambda a: a - 100}, "icons: not all"),
        ({"lengths": lambda a: a * np.nan}, "lengths: not all"),
        ({"lengths": lambda a: None}, "cannot be read"),
    ],
)
def test_objects_that_cannot_be_are_refused(damaged, changes, message):
    replant(damaged, "objects-train.npz", **changes)
    with pytest.raises(InputRefusedError, match=message):
        thin_objects.load_objects(damaged, "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": lambda a: a + 96}, "leaves its image"),
        ({"boxes": lambda a: a[:, [2, 1, 0, 3]]}, "is empty"),
        ({"boxes": lambda a: a * np.nan}, "is empty"),
        ({"boxes": lambda a: a[:, :3]}, "boxes: float32"),
        ({"scene": lambda a: a + 100}, "scene: not all"),
        ({"scene": lambda a: a[::-1]}, "ascending"),
        ({"lengths": lambda a: a[1:]}, "lengths: float32"),
    ],
)
def test_scenes_that_cannot_be_are_refused(damaged, changes, message):
    replant(damaged, "scenes-train.npz", **changes)
    with pytest.raises(InputRefusedError, match=message):
        thin_objects.load_scenes(damaged, "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "schema 1"),
        ({"name": "other"}, "does not describe"),
        ({"classes": [*CLASSES[1:], CLASSES[0]]}, "does not describe"),
        ({"icons": None}, "lacks"),
        ({"packages": None}, "what it was built from"),
        ({"credits": None}, "what it was built from"),
        ({"credits": ["MIT"]}, "what it was built from"),
        ({"credits": [{"prefix": "one", "licence": "MIT"}]}, "what it was built from"),
        ({"parts": None}, "counts of its parts"),
        ({"parts": {"train": {"objects": 1, "scenes": 1}}}, "counts of its parts"),
        ({"parts": {part: {"objects": 1} for part in thin_objects.PARTS}}, "counts of its parts"),
    ],
)
def test_a_description_of_something_else_is_refused(damaged, changes, message):
    describe_anew(damaged, **changes)
    with pytest.raises(InputRefusedError, match=message):
        thin_objects.describe(damaged)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"null"])
def test_a_description_that_is_none_is_refused(damaged, content):
    (damaged / DESCRIPTION).write_bytes(content)
    with pytest.raises(InputRefusedError, match=r"cannot be read|schema"):
        thin_objects.describe(damaged)
