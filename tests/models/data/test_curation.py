from __future__ import annotations

import json

import pytest

from dwca_export.errors import InputRefusedError
from models.data import curation
from models.data.thin_objects import CLASSES


def content(**changes):
    classes = {name: [f"set:{name}"] for name in CLASSES}
    return {"classes": classes, "parts": {"Mill": "train"}, **changes}


def written(tmp_path, recipe):
    file = tmp_path / "curation.json"
    file.write_text(recipe if isinstance(recipe, str) else json.dumps(recipe))
    return file


def test_the_recipe_of_the_repository_is_sound():
    recipe = curation.read()
    labels = recipe.labels()
    assert len(labels) > 500
    assert set(labels.values()) == set(range(len(CLASSES)))


def test_labels_follow_the_order_of_the_classes(tmp_path):
    classes = {name: [f"set:{name}"] for name in reversed(CLASSES)}
    labels = curation.read(written(tmp_path, content(classes=classes))).labels()
    assert labels == {f"set:{name}": label for label, name in enumerate(CLASSES)}


def test_vendors_that_draw_from_each_other_are_one(tmp_path):
    recipe = curation.read(written(tmp_path, content(same_vendor=[["Mill", "Quay"]])))
    assert [recipe.group(vendor) for vendor in ("Mill", "Quay", "Reef")] == ["Mill", "Mill", "Reef"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": {**content()["classes"], "spoon": ["set:spoon"]}}, "unknown class spoon"),
        ({"classes": {name: icons for name, icons in content()["classes"].items() if name != "pen"}}, "class pen"),
        ({"classes": {**content()["classes"], "pen": []}}, "class pen"),
        ({"classes": {**content()["classes"], "pen": ["set:pencil"]}}, "more than once: set:pencil"),
        ({"classes": {**content()["classes"], "pen": ["pen"]}}, "not of the form set:name: pen"),
        ({"classes": {**content()["classes"], "pen": [7]}}, "not of the form set:name: 7"),
        ({"classes": None}, "cannot be read"),
        ({"keep_largest_part_only": ["set:spoon"]}, "of no class: set:spoon"),
        ({"parts": {"Mill": "training"}}, "unknown part training"),
        (
            {"parts": {"Mill": "train", "Quay": "test"}, "same_vendor": [["Mill", "Quay"]]},
            "Mill, Quay draw from each other",
        ),
    ],
)
def test_a_wrong_recipe_is_refused(tmp_path, change, message):
    with pytest.raises(InputRefusedError, match=message):
        curation.read(written(tmp_path, content(**change)))


@pytest.mark.parametrize("recipe", ["", "[]", "{}", "7"])
def test_what_is_no_recipe_is_refused(tmp_path, recipe):
    with pytest.raises(InputRefusedError, match="cannot be read"):
        curation.read(written(tmp_path, recipe))


def test_an_absent_recipe_is_refused(tmp_path):
    with pytest.raises(InputRefusedError, match="cannot be read"):
        curation.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "text",
    ['{"classes": {"knife": [["a:b"]]}, "parts": {}}', '{"classes": {}, "parts": {"Mill": ["train"]}}', "[" * 100_000],
)
def test_what_is_nested_where_names_are_expected_is_refused(tmp_path, text):
    file = tmp_path / "curation.json"
    file.write_text(text)
    with pytest.raises(InputRefusedError):
        curation.read(file)
