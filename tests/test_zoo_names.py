"""`zoo:NAME`: found whole, or refused with what is wrong and where."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from dwca_export import zoo
from dwca_export.errors import InputRefusedError, UsageError
from dwca_export.request import ExportRequest

ROOT = Path(__file__).parents[1]
CARD = {
    "name": "tiny",
    "arch": "models/nets.py:classifier",
    "samples": "tiny_samples.npz",
    "task": "image classification",
}
WEIGHTS = b"weights"


def write_card(models, name="tiny", **changes):
    card = {**CARD, "sha256": hashlib.sha256(WEIGHTS).hexdigest(), **changes}
    (models / "zoo" / f"{name}.card.json").write_text(json.dumps(card))


@pytest.fixture
def models(tmp_path):
    """A zoo of one network, whose files need not be more than files."""
    folder = tmp_path / "models"
    (folder / "zoo").mkdir(parents=True)
    (folder / "nets.py").touch()
    (folder / "zoo/tiny.pt").write_bytes(WEIGHTS)
    (folder / "zoo/tiny_samples.npz").touch()
    write_card(folder)
    return folder


def asked(**options):
    return ExportRequest(model=Path("zoo:tiny"), **options)


# --- what is found


def test_a_name_stands_for_weights_architecture_and_samples(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = zoo.with_zoo(asked(), "zoo:tiny", models)
    assert request.model == models / "zoo/tiny.pt"
    assert request.arch == f"{models}/nets.py:classifier"
    assert request.images == models / "zoo/tiny_samples.npz"
    assert request.out == tmp_path  # never the folder of the weights, which may be the installed package


def test_what_the_user_says_goes_first(models):
    given = asked(images=Path("mine"), out=Path("there"), shapes=((1, 3, 8, 8),), dynamic=True)
    request = zoo.with_zoo(given, "zoo:tiny", models)
    assert (request.images, request.out, request.shapes) == (Path("mine"), Path("there"), ((1, 3, 8, 8),))
    assert request.dynamic


def test_a_network_without_samples_is_proven_on_noise(models):
    write_card(models, samples=None)
    assert zoo.with_zoo(asked(), "zoo:tiny", models).images is None


def test_the_users_own_images_need_no_samples(models):
    (models / "zoo/tiny_samples.npz").unlink()
    assert zoo.with_zoo(asked(images=Path("mine")), "zoo:tiny", models).images == Path("mine")


def test_every_committed_network_is_found():
    names = zoo.names()
    assert {"fashion_baseline", "fashion_dwca"} <= set(names)
    for name in names:
        found = zoo.find(name)
        assert found.checkpoint == ROOT / "models/zoo" / f"{name}.pt"
        assert zoo.samples_of(found).is_file()


def test_only_the_prefix_makes_a_name():
    assert zoo.is_zoo("zoo:fashion_dwca")
    assert zoo.is_zoo("zoo:")
    assert not any(map(zoo.is_zoo, ["./zoo:x", "zoo", "zoo.pt", "models/zoo/fashion_dwca.pt", "Zoo:x", "/zoo:x"]))


# --- where it is


def test_a_source_tree_has_it_beside_the_package():
    assert zoo.home() == ROOT / "models"


def test_a_wheel_has_it_in_the_package(tmp_path):
    (tmp_path / "dwca_export/models").mkdir(parents=True)
    assert zoo.home(tmp_path / "dwca_export") == tmp_path / "dwca_export/models"


def test_a_strangers_package_beside_the_installed_one_is_left_alone(tmp_path):
    (tmp_path / "dwca_export").mkdir()
    (tmp_path / "models/zoo").mkdir(parents=True)
    (tmp_path / "models/nets.py").write_text("raise SystemExit('planted')")
    assert zoo.home(tmp_path / "dwca_export") == tmp_path / "dwca_export/models"


# --- what is refused


@pytest.mark.parametrize(
    "name",
    [
        "",
        "absent",
        "tiny.pt",
        "../x",
        "../zoo/tiny",
        "./tiny",
        "/etc/passwd",
        "Tiny",
        "tiny ",
        "*",
        "t?ny",
        "a\x1b[2J",
        "x" * 5000,
    ],
)
def test_an_unknown_name_lists_what_there_is(models, name):
    with pytest.raises(UsageError) as caught:
        zoo.find(name, models)
    assert "there are tiny" in caught.value.hint
    assert "zoo:list" in caught.value.hint
    assert "\x1b" not in str(caught.value)
    assert len(caught.value.what) < 300


def test_a_name_with_a_path_does_not_lead_out_of_the_zoo(models):
    shutil.copytree(models / "zoo", models / "elsewhere")
    with pytest.raises(UsageError):
        zoo.find("../elsewhere/tiny", models)


@pytest.mark.parametrize("option", ["arch", "arch_args"])
def test_another_architecture_is_refused(models, option):
    given = asked(**{option: {"arch": "mine.py:net", "arch_args": {}}[option]})
    with pytest.raises(UsageError, match="brings its own") as caught:
        zoo.with_zoo(given, "zoo:tiny", models)
    assert caught.value.where == f"--{option.replace('_', '-')}"


@pytest.mark.parametrize("content", [WEIGHTS[:-1], b"", WEIGHTS + b"x", b"Weights"])
def test_weights_of_another_hash_are_refused(models, content):
    (models / "zoo/tiny.pt").write_bytes(content)
    with pytest.raises(InputRefusedError, match="damaged or of another training") as caught:
        zoo.find("tiny", models)
    assert hashlib.sha256(content).hexdigest() in caught.value.what
    assert caught.value.where == "zoo:tiny"


@pytest.mark.parametrize("named", [None, "", 7, "0" * 64])
def test_a_card_with_no_or_another_hash_is_refused(models, named):
    write_card(models, sha256=named)
    with pytest.raises(InputRefusedError, match="damaged or of another training"):
        zoo.find("tiny", models)


def test_absent_weights_say_where_they_are(models):
    (models / "zoo/tiny.pt").unlink()
    with pytest.raises(InputRefusedError, match=r"its weights .*tiny\.pt are not there") as caught:
        zoo.find("tiny", models)
    assert "models/zoo/tiny.pt of dwca-export's source repository" in caught.value.hint


def test_a_missing_card_is_refused(models):
    (models / "zoo/tiny.card.json").unlink()
    with pytest.raises(InputRefusedError, match=r"its card .*tiny\.card\.json is not there"):
        zoo.find("tiny", models)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b""])
def test_a_damaged_card_is_refused(models, content):
    (models / "zoo/tiny.card.json").write_bytes(content)
    with pytest.raises(InputRefusedError, match=r"its card .* cannot be read"):
        zoo.find("tiny", models)


def test_the_card_of_another_model_is_refused(models):
    write_card(models, name="tiny")
    shutil.copy(models / "zoo/tiny.pt", models / "zoo/other.pt")
    shutil.copy(models / "zoo/tiny.card.json", models / "zoo/other.card.json")
    assert zoo.find("tiny", models)
    with pytest.raises(InputRefusedError, match="is that of tiny"):
        zoo.find("other", models)


@pytest.mark.parametrize(
    "arch", ["trap.py:net", "models/nets.py:Detector", "os:system", "models/zoo/nets.py:classifier", None, 7]
)
def test_a_card_chooses_among_our_own_factories_only(models, arch):
    write_card(models, arch=arch)
    with pytest.raises(InputRefusedError, match="names the architecture"):
        zoo.find("tiny", models)


@pytest.mark.parametrize("named", ["../tiny_samples.npz", "/etc/passwd", "", ".", "..", 7, "zoo/tiny_samples.npz"])
def test_samples_that_do_not_lie_in_the_zoo_are_refused(models, named):
    write_card(models, samples=named)
    with pytest.raises(InputRefusedError, match="sample images"):
        zoo.with_zoo(asked(), "zoo:tiny", models)


def test_absent_samples_are_refused(models):
    (models / "zoo/tiny_samples.npz").unlink()
    with pytest.raises(InputRefusedError, match=r"sample images .* are not there"):
        zoo.with_zoo(asked(), "zoo:tiny", models)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_weights_are_refused(models):
    (models / "zoo/tiny.pt").chmod(0)
    with pytest.raises(InputRefusedError, match="cannot be read"):
        zoo.find("tiny", models)


def test_an_empty_zoo_says_so(tmp_path):
    with pytest.raises(UsageError) as caught:
        zoo.find("tiny", tmp_path)
    assert "holds none" in caught.value.hint


# --- the list


def test_the_list_has_every_network(models):
    write_card(models, metrics={"test_accuracy": 0.5}, input={"shape": [1, 3, 8, 8]})
    (models / "zoo/bare.pt").write_bytes(b"12")
    write_card(models, name="far")
    entries = zoo.listing(models)
    assert [(one["name"], one["bytes"]) for one in entries] == [("bare", 2), ("far", None), ("tiny", 7)]
    bare, far, tiny = zoo.listing_text(entries).splitlines()
    assert bare.startswith("zoo:bare ")
    assert "card absent or damaged" in bare
    assert far.endswith("weights absent")
    for word in ("image classification", "1x3x8x8", "test_accuracy 0.5"):
        assert word in tiny


def test_the_list_of_an_empty_zoo_says_where_networks_belong(tmp_path):
    assert "no network is here" in zoo.listing_text(zoo.listing(tmp_path))


def test_the_list_does_not_print_what_a_terminal_obeys(models):
    write_card(models, task="a\x1b[2Jb")
    assert "\x1b" not in zoo.listing_text(zoo.listing(models))
