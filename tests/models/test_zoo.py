"""The committed checkpoints are what their cards say."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch

from dwca_export.detect.spec import DetectorSpec
from models import cards, checkpoint, publish, samples
from models.classification import Normalisation, logits_of
from models.data import fashion, thin_objects
from models.recipe import Recipe
from models.samples import ZOO

FASHION = ["fashion_dwca", "fashion_baseline"]
KINDS = ("fashion", "thin_objects", "thin_detector")
NAMES = sorted(path.name.removesuffix(".card.json") for path in ZOO.glob("*.card.json"))
THIN = [name for name in NAMES if name.startswith("thin_")]
PAIRS = sorted({name.rpartition("_")[0] for name in NAMES})


def weights(name):
    return ZOO / f"{name}.pt"


def card(name):
    return json.loads(publish.card_file(weights(name)).read_text())


def recipe_of(name):
    return Recipe(**{key: value for key, value in card(name)["recipe"].items() if key != "optimiser"})


def measured_on_samples(network, name):
    """What the card says of the sample images, measured."""
    if name.startswith("fashion"):
        split = samples.load()
        return {"samples_correct": int((publish.predict(network, split.images) == split.labels).sum())}
    if name.startswith("thin_objects"):
        objects = samples.load_objects()
        logits = logits_of(network, objects.images, Normalisation(thin_objects.MEAN, thin_objects.STD))
        return {"samples_correct": int((logits.argmax(1) == objects.labels).sum())}
    spec = DetectorSpec.from_document(card(name)["detection"])
    return cards.samples_found(network, samples.load_scenes(), spec)


def test_each_kind_is_there_with_and_without_the_block():
    assert set(PAIRS) == set(KINDS)
    assert set(NAMES) == {f"{kind}_{block}" for kind in PAIRS for block in ("dwca", "baseline")}
    assert {path.stem for path in ZOO.glob("*.pt")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_hash_is_that_of_the_file(name):
    content = weights(name).read_bytes()
    assert card(name)["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(content) <= publish.MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_the_samples_are_recognised_as_recorded(name):
    measured = measured_on_samples(publish.load(weights(name)), name)
    assert card(name)["metrics"].items() >= measured.items()


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_number_depends_on_the_weights(name):
    network = publish.load(weights(name))
    with torch.no_grad():
        last = network.classifier[-1].weight if hasattr(network, "classifier") else network.heads[0].boxes.bias
        last.copy_(-last - 1)
    assert not card(name)["metrics"].items() >= measured_on_samples(network, name).items()


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete(name):
    content, stored = card(name), checkpoint.read(weights(name))
    assert content["name"] == name
    assert (content["arch"], content["arch_args"]) == (stored.arch, stored.arch_args)
    assert content["input"]["shape"] == list(stored.shape)
    assert content["arch_args"]["block"] == name.rpartition("_")[2] == content["recipe"]["block"]
    assert content["arch_args"]["num_classes"] == len(content["labels"])
    assert content["recipe"]["seed"] == 0
    assert content["licence"] == "Apache-2.0"
    assert content["data"]["licence"]
    assert (ZOO / content["samples"]).is_file()


@pytest.mark.parametrize("name", FASHION)
def test_the_card_of_fashion_says_how_it_is_fed(name):
    content = card(name)
    assert content["arch_args"] == publish.arch_args(recipe_of(name))
    preprocessing = {"range": [0, 1], "mean": [fashion.MEAN], "std": [fashion.STD], "channels": "grayscale"}
    assert content["input"].items() >= preprocessing.items()
    assert content["labels"] == list(fashion.LABELS)
    assert content["data"]["licence"] == "MIT"
    assert content["metrics"]["test_accuracy"] == content["metrics"]["test_correct"] / 10_000


@pytest.mark.parametrize("name", THIN)
def test_the_card_of_thin_objects_says_how_it_is_fed(name):
    content = card(name)
    preprocessing = {"range": [0, 1], "mean": [0.5] * 3, "std": [0.25] * 3, "channels": "RGB"}
    assert content["input"].items() >= preprocessing.items()
    assert content["labels"] == list(thin_objects.CLASSES)
    assert content["data"]["name"] == "thin-objects"  # never the drawn polygons of the tests
    assert (ZOO / content["data"]["credits"]).is_file()
    is_detector = name.startswith("thin_detector")
    assert ("detection" in content) == is_detector
    assert (checkpoint.read(weights(name)).extras.get("detection") == content["detection"]) if is_detector else True


@pytest.mark.parametrize("name", FASHION)
def test_it_is_a_useful_classifier(name):
    assert card(name)["metrics"]["test_accuracy"] >= 0.9


@pytest.mark.parametrize("kind", PAIRS)
def test_both_were_trained_alike(kind):
    ours, theirs = (card(f"{kind}_{block}") for block in ("dwca", "baseline"))
    assert ours["data"] == theirs["data"]
    for one in (ours, theirs):
        one["recipe"].pop("block")
        one["arch_args"].pop("block")
    assert ours["recipe"] == theirs["recipe"]
    assert ours["arch_args"] == theirs["arch_args"]


@pytest.mark.slow
@pytest.mark.skipif(not fashion.DIRECTORY.exists(), reason="needs Debian's dataset-fashion-mnist")
@pytest.mark.parametrize("name", FASHION)
def test_the_accuracy_is_reproduced(name):
    test = fashion.load(fashion.DIRECTORY).test
    correct = publish.predict(publish.load(weights(name)), test.images) == test.labels
    # One borderline image may fall on the other side on another machine.
    assert abs(int(correct.sum()) - card(name)["metrics"]["test_correct"]) <= 1


@pytest.mark.slow
@pytest.mark.skipif(not thin_objects.default_directory().exists(), reason="needs the built data set")
@pytest.mark.parametrize("name", THIN)
def test_the_measurements_are_reproduced(name):
    content = card(name)
    if thin_objects.dataset_sha256(None) != content["data"]["sha256"]:
        pytest.skip("the data set here is another one than that of the card")
    network = publish.load(weights(name))
    if "detection" in content:
        facts = cards.scenes_facts(network, None, content["detection"])
    else:
        facts = cards.objects_facts(network, None)
    for key in facts.metrics.keys() & {"test_accuracy", "test_map50"}:
        assert facts.metrics[key] == pytest.approx(content["metrics"][key], abs=0.002)
