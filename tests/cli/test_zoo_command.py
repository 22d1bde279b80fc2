"""`dwca-export zoo:NAME` as a user types it, from any folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import contents, run_child

ROOT = Path(__file__).parents[2]
ZOO = ROOT / "models/zoo"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder with a `models` package of its own, which has to be left alone."""
    (tmp_path / "models").mkdir()
    for name in ("__init__", "nets"):
        (tmp_path / f"models/{name}.py").write_text("raise SystemExit('planted')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_name_is_all_that_is_needed(elsewhere):
    before = contents(ZOO)
    ran = run_child("zoo:fashion_baseline", cwd=elsewhere)
    assert ran.code == 0, ran.err
    bundle = elsewhere / "fashion_baseline_ncnn_model"
    assert f"bundle: {bundle}" in ran.out
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["inputs"][0]["shape"] == [1, 1, 28, 28]
    assert manifest["samples"] == {"kind": "images", "origin": "128 images of fashion_samples.npz", "count": 4}
    assert str(ROOT) not in (bundle / "manifest.json").read_text()
    assert contents(ZOO) == before


def test_the_users_data_and_folder_are_taken(elsewhere):
    with np.load(ZOO / "fashion_samples.npz") as samples:
        np.save("mine.npy", samples["images"][5:8])
    ran = run_child("zoo:fashion_baseline", "--images", "mine.npy", "--out", "there", "--json", cwd=elsewhere)
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert Path(document["bundle"]) == elsewhere / "there/fashion_baseline_ncnn_model"
    assert document["samples"]["origin"] == "3 images of mine.npy"


def test_the_list_is_printed(invoke, elsewhere):
    ran = invoke("zoo:list")
    assert (ran.code, ran.err) == (0, "")
    assert "zoo:fashion_dwca " in ran.out
    ran = invoke("zoo:list", "--json")
    assert {"fashion_baseline", "fashion_dwca"} <= {entry["name"] for entry in json.loads(ran.out)}
    assert sorted(path.name for path in elsewhere.iterdir()) == ["models"]


@pytest.mark.parametrize("name", ["", "absent", "../x", "fashion_dwca/../../x"])
def test_another_name_says_which_there_are(invoke, elsewhere, name):
    ran = invoke(f"zoo:{name}")
    assert (ran.code, ran.out) == (2, "")
    assert "there are " in ran.err
    assert "fashion_dwca" in ran.err
    assert sorted(path.name for path in elsewhere.iterdir()) == ["models"]


def test_help_says_what_a_name_is(invoke):
    ran = invoke("--help")
    words = " ".join(ran.out.split())
    assert "zoo:NAME" in words
    assert "zoo:list" in words


def test_a_file_whose_name_begins_like_that_is_a_file(invoke, elsewhere):
    (elsewhere / "zoo:mine").write_text("not a model\n")
    ran = invoke("./zoo:mine")
    assert ran.code == 3
    assert "load: zoo:mine" in ran.err


def test_an_architecture_beside_the_name_is_refused(invoke, elsewhere):
    ran = invoke("zoo:fashion_dwca", "--arch", "models/nets.py:classifier")
    assert ran.code == 2
    assert "brings its own architecture" in ran.err
