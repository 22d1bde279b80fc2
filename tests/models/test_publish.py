"""Checkpoint and card: what they hold, that they repeat, and that a failure leaves the older ones alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch

from dwca_export.errors import UsageError
from models.data.fashion import Split
from models.nets import classifier
from models.publish import arch_args, card_file, load, predict, publish
from models.recipe import Recipe

RECIPE = Recipe(width=0.25, epochs=1, warmup_epochs=0)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return classifier(**arch_args(RECIPE)).to(memory_format=torch.channels_last)


def test_the_checkpoint_is_plain_data(network, generated, tmp_path):
    publish(network, RECIPE, generated, tmp_path / "net.pt")
    content = torch.load(tmp_path / "net.pt", weights_only=True)
    assert content["arch"] == "models/nets.py:classifier"
    assert content["arch_args"] == arch_args(RECIPE)
    assert content["shape"] == [1, 1, 28, 28]
    for name, tensor in network.state_dict().items():
        stored = content["state_dict"][name]
        assert torch.equal(stored, tensor)
        assert stored.stride() == torch.empty(tensor.shape).stride()


def test_the_card_describes_the_file(network, generated, tmp_path):
    card = publish(network, RECIPE, generated, tmp_path / "net.pt")
    assert json.loads((tmp_path / "net.card.json").read_text()) == card
    assert card["name"] == "net"
    assert card["sha256"] == hashlib.sha256((tmp_path / "net.pt").read_bytes()).hexdigest()
    assert card["recipe"]["seed"] == RECIPE.seed
    assert (card["data"]["train_images"], card["data"]["test_images"]) == (256, 200)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.card.json", "net.pt"]


def test_accuracy_is_that_of_the_file(network, generated, tmp_path):
    card = publish(network, RECIPE, generated, tmp_path / "net.pt")
    correct = predict(load(tmp_path / "net.pt"), generated.test.images) == generated.test.labels
    assert card["metrics"] == {
        "test_accuracy": correct.mean(),
        "test_correct": correct.sum(),
        "samples_correct": correct[:128].sum(),
    }


def test_accuracy_follows_the_labels(network, generated, tmp_path):
    right = predict(network.eval(), generated.test.images).astype(np.uint8)
    right[:50] = (right[:50] + 1) % 10
    dataset = dataclasses.replace(generated, test=Split(generated.test.images, right))
    metrics = publish(network, RECIPE, dataset, tmp_path / "net.pt")["metrics"]
    assert metrics == {"test_accuracy": 0.75, "test_correct": 150, "samples_correct": 78}


def test_the_same_weights_give_the_same_bytes(network, generated, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        publish(network, RECIPE, generated, tmp_path / folder / "net.pt")
    for name in ("net.pt", "net.card.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_failure_leaves_the_older_files(network, generated, tmp_path):
    file = tmp_path / "net.pt"
    file.write_bytes(b"older")
    card_file(file).write_text("older card")
    broken = dataclasses.replace(generated, test=Split(generated.test.images[:, 0], generated.test.labels))
    with pytest.raises(RuntimeError):
        publish(network, RECIPE, broken, file)
    assert file.read_bytes() == b"older"
    assert card_file(file).read_text() == "older card"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_is_not_there_is_refused(network, generated, tmp_path):
    with pytest.raises(UsageError, match="cannot be written") as caught:
        publish(network, RECIPE, generated, tmp_path / "absent" / "net.pt")
    assert "--out" in caught.value.hint
