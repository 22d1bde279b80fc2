"""The committed checkpoints are what their cards say."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch

from models import publish, samples
from models.data import fashion
from models.recipe import Recipe
from models.train import ZOO

NAMES = ["fashion_dwca", "fashion_baseline"]
MOST_BYTES = 2_000_000


def checkpoint(name):
    return ZOO / f"{name}.pt"


def card(name):
    return json.loads(publish.card_file(checkpoint(name)).read_text())


def recipe_of(name):
    return Recipe(**{key: value for key, value in card(name)["recipe"].items() if key != "optimiser"})


def samples_correct(network):
    split = samples.load()
    return int((publish.predict(network, split.images) == split.labels).sum())


@pytest.mark.parametrize("name", NAMES)
def test_the_hash_is_that_of_the_file(name):
    content = checkpoint(name).read_bytes()
    assert card(name)["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(content) <= MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_the_samples_are_classified_as_recorded(name):
    assert samples_correct(publish.load(checkpoint(name))) == card(name)["metrics"]["samples_correct"]


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_number_depends_on_the_weights(name):
    network = publish.load(checkpoint(name))
    with torch.no_grad():
        network.classifier[-1].weight.neg_()
    assert samples_correct(network) < card(name)["metrics"]["samples_correct"] - 50


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete(name):
    content = card(name)
    stored = torch.load(checkpoint(name), weights_only=True)
    assert content["name"] == name
    assert content["arch_args"] == stored["arch_args"] == publish.arch_args(recipe_of(name))
    assert content["arch"] == stored["arch"]
    assert content["input"] == {
        "shape": stored["shape"],
        "range": [0, 1],
        "mean": [fashion.MEAN],
        "std": [fashion.STD],
        "channels": "grayscale",
    }
    assert content["labels"] == list(fashion.LABELS)
    assert content["licence"] == "Apache-2.0"
    assert content["data"]["licence"] == "MIT"
    assert content["metrics"]["test_accuracy"] == content["metrics"]["test_correct"] / 10_000


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_useful_classifier(name):
    assert card(name)["metrics"]["test_accuracy"] >= 0.9


def test_both_were_trained_alike():
    ours, theirs = (card(name)["recipe"] for name in NAMES)
    assert ours.pop("block") == "dwca"
    assert theirs.pop("block") == "baseline"
    assert ours == theirs


@pytest.mark.slow
@pytest.mark.skipif(not fashion.DIRECTORY.exists(), reason="needs Debian's dataset-fashion-mnist")
@pytest.mark.parametrize("name", NAMES)
def test_the_accuracy_is_reproduced(name):
    test = fashion.load(fashion.DIRECTORY).test
    correct = publish.predict(publish.load(checkpoint(name)), test.images) == test.labels
    # One borderline image may fall on the other side on another machine.
    assert abs(int(correct.sum()) - card(name)["metrics"]["test_correct"]) <= 1
