from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from dwca_export.errors import InputRefusedError, UsageError
from models.data import build, compose, curation, thin_objects
from models.data.download import ICONS
from models.data.split import CACHE
from models.data.thin_objects import CLASSES, DESCRIPTION, PARTS

SIZES = compose.Sizes(objects=(44, 11, 22), scenes=(6, 2, 3))


def build_small(out, package, recipe, **options):
    return build.build(out, package, recipe, SIZES, lambda line: None, **options)


@pytest.fixture(scope="module")
def built(icon_package, small_curation, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "set"
    build_small(out, icon_package, small_curation)
    return out


def contents(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_the_images_do_not_depend_on_the_number_of_processes(built, icon_package, small_curation, tmp_path):
    build_small(tmp_path / "two", icon_package, small_curation, processes=2)
    assert contents(tmp_path / "two") == contents(built)


def test_another_seed_gives_other_images(built, icon_package, small_curation, tmp_path):
    build_small(tmp_path / "other", icon_package, small_curation, seed=1)
    assert thin_objects.dataset_sha256(tmp_path / "other") != thin_objects.dataset_sha256(built)


def test_what_was_built_is_read_and_balanced(built):
    for part, objects, scenes in zip(PARTS, SIZES.objects, SIZES.scenes, strict=True):
        read = thin_objects.load_objects(built, part)
        assert np.bincount(read.labels, minlength=len(CLASSES)).tolist() == [objects // len(CLASSES)] * len(CLASSES)
        assert len(thin_objects.load_scenes(built, part).images) == scenes


def test_no_vendor_is_in_two_parts(built):
    icons = thin_objects.describe(built)["icons"]
    sets = {"train": {"mill", "mill-bold"}, "validation": {"quay"}, "test": {"reef"}}
    for part in PARTS:
        objects = thin_objects.load_objects(built, part)
        assert {icons[number].partition(":")[0] for number in objects.icons} == sets[part]
        names = [CLASSES[label] for label in objects.labels]
        assert [icons[number].partition(":")[2] for number in objects.icons] == names


def test_the_description_says_what_it_was_built_from(built):
    description = thin_objects.describe(built)
    assert description["name"] == "thin-objects"
    assert description["parts"]["train"]["objects"] == 44
    assert ICONS.integrity in description["packages"][ICONS.name]
    assert {"prefix": "quay", "name": "Quay", "author": "Quay", "licence": "MIT"}.items() <= next(
        credit for credit in description["credits"] if credit.get("prefix") == "quay"
    ).items()
    assert any(credit.get("file") == "coffee.png" for credit in description["credits"])
    text = (built / "CREDITS.md").read_text()
    assert "| Reef (`reef`) | Reef | MIT | 11 |" in text


def test_a_copied_drawing_is_kept_in_the_test_part_only(package_documents, packed, small_curation, tmp_path):
    about, sets = package_documents()
    # Another vendor's drawing, and drawn once more so that training does not lose the class.
    sets["mill"]["icons"]["axe"] = sets["reef"]["icons"]["axe"]
    package = packed(tmp_path / "icons.tgz", about, sets)
    description = build_small(tmp_path / "set", package, small_curation)
    assert {"removed": "mill:axe", "kept": "reef:axe", "bits": 0} in description["near_duplicates"]
    assert "mill:axe" not in description["icons"]
    assert {"reef:axe", "mill-bold:axe"} <= set(description["icons"])


def test_a_part_left_without_a_class_is_refused(package_documents, packed, small_curation, tmp_path):
    about, sets = package_documents()
    sets["quay"]["icons"]["axe"] = sets["reef"]["icons"]["axe"]
    package = packed(tmp_path / "icons.tgz", about, sets)
    with pytest.raises(InputRefusedError, match="no icon of axe is left in the validation part"):
        build_small(tmp_path / "set", package, small_curation)
    assert not (tmp_path / "set").exists()


def test_a_vendor_in_no_part_is_refused(icon_package, small_curation, tmp_path):
    recipe = replace(small_curation, parts={"Mill": "train", "Quay": "validation"})
    with pytest.raises(InputRefusedError, match="vendors in no part: Reef") as caught:
        build_small(tmp_path / "set", icon_package, recipe)
    assert "models.data.split" in caught.value.hint


def test_an_older_set_is_replaced_on_demand_only(built, icon_package, small_curation, tmp_path):
    out = shutil.copytree(built, tmp_path / "set")
    with pytest.raises(UsageError, match="a data set already"):
        build_small(out, icon_package, small_curation, seed=1)
    assert contents(out) == contents(built)
    build_small(out, icon_package, small_curation, seed=1, force=True)
    assert contents(out) != contents(built)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--processes", "0"], 2, "--processes is at least 1"),
        (["--seed", "-1"], 2, "--seed at least 0"),
        (["--curation", "none.json"], 3, "the recipe cannot be read"),
        (["--package", "none.tgz"], 3, "cannot be read"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path, capsys, arguments, code, message):
    assert build.main(["--out", str(tmp_path / "set"), "--cache", str(tmp_path / "cache"), *arguments]) == code
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_command_refuses_an_unknown_class(tmp_path, capsys):
    content = json.loads(curation.FILE.read_text())
    content["classes"]["spoon"] = ["some:spoon"]
    (tmp_path / "curation.json").write_text(json.dumps(content))
    assert build.main(["--out", str(tmp_path / "set"), "--curation", str(tmp_path / "curation.json")]) == 3
    assert "unknown class spoon" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_set_is_built_from_the_registry(tmp_path):
    """Fetches 104 MB, unless they are in the user's cache: `pytest -m slow tests/models/data/test_build.py`."""
    out = tmp_path / "set"
    assert build.main(["--out", str(out), "--cache", str(CACHE.expanduser())]) == 0
    sizes = compose.Sizes()
    for part, objects, scenes in zip(PARTS, sizes.objects, sizes.scenes, strict=True):
        assert len(thin_objects.load_objects(out, part).labels) == objects
        assert len(thin_objects.load_scenes(out, part).images) == scenes
    assert (out / DESCRIPTION).is_file()
