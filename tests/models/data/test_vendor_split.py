from __future__ import annotations

import json
from collections import Counter, defaultdict

import numpy as np
import pytest

from dwca_export.errors import InputRefusedError, UsageError
from models.data import curation, split
from models.data.curation import Curation
from models.data.thin_objects import CLASSES, PARTS


@pytest.fixture(scope="module")
def many():
    """Forty vendors of one set each, that draw some of the classes, and the vendor of each set."""
    generator = np.random.default_rng(0)
    vendors = {f"set{number}": f"Vendor {number:02}" for number in range(40)}
    classes = {
        name: tuple(
            f"{prefix}:{name}{copy}"
            for prefix in vendors
            if generator.random() < 0.5
            for copy in range(generator.integers(1, 4))
        )
        for name in CLASSES
    }
    return Curation(classes, same_vendor=(("Vendor 03", "Vendor 17"),)), vendors


def test_a_vendor_and_those_that_it_draws_from_are_in_one_part(many):
    parts = split.propose(*many)
    assert set(parts) == set(many[1].values())
    assert parts["Vendor 03"] == parts["Vendor 17"]


def test_every_class_has_its_vendors_and_its_share_in_every_part(many):
    recipe, vendors = many
    parts = split.propose(recipe, vendors)
    for name in CLASSES:
        of_part = defaultdict(set)
        share = Counter()
        for icon in recipe.classes[name]:
            vendor = vendors[icon.partition(":")[0]]
            of_part[parts[vendor]].add(recipe.group(vendor))
            share[parts[vendor]] += 1 / len(recipe.classes[name])
        for part, least, wanted in zip(PARTS, split.LEAST_VENDORS, split.SHARES, strict=True):
            assert len(of_part[part]) >= least
            assert share[part] == pytest.approx(wanted, abs=0.12)


def test_the_proposal_depends_on_the_seed_alone(many):
    recipe, vendors = many
    reversed_sets = dict(reversed(vendors.items()))
    assert split.propose(recipe, vendors) == split.propose(recipe, reversed_sets)


def test_a_class_of_too_few_vendors_is_named(small_curation):
    vendors = {"mill": "Mill", "mill-bold": "Mill", "quay": "Quay", "reef": "Reef"}
    with pytest.raises(InputRefusedError, match="too few vendors draw knife, "):
        split.propose(small_curation, vendors)


def test_the_split_goes_into_the_recipe_and_changes_nothing_else(tmp_path):
    file = tmp_path / "curation.json"
    before = json.loads(curation.FILE.read_text())
    file.write_text(json.dumps(before))
    split.write(file, {"Mill": "train"})
    after = json.loads(file.read_text())
    assert after.pop("parts") == {"Mill": "train"}
    before.pop("parts")
    assert list(after.items()) == list(before.items())
    assert list(tmp_path.iterdir()) == [file]


def test_a_recipe_that_cannot_be_read_is_said(tmp_path, capsys):
    (tmp_path / "curation.json").write_text("{")
    assert split.main(["--curation", str(tmp_path / "curation.json")]) == 3
    assert "the recipe cannot be read" in capsys.readouterr().err


def test_a_full_disc_leaves_the_recipe_as_it_was(tmp_path, monkeypatch):
    file = tmp_path / "curation.json"
    file.write_text("{}")

    def full_disc(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full_disc)
    with pytest.raises(UsageError, match="No space left"):
        split.write(file, {"Mill": "train"})
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "{}"
