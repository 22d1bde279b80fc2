"""The training loop: that it learns, repeats itself, goes on where it was interrupted, and stops when it diverges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dwca_export.errors import InputRefusedError, UsageError
from models import controls
from models.classification import ClassificationTask
from models.data.fashion import Split
from models.experiment.tasks.fashion import NORMALISATION
from models.nets import classifier
from models.publish import arch_args, predict
from models.recipe import Recipe
from models.training import train
from models.training_state import StateFile


def quick(**changes):
    return Recipe(**{"block": "baseline", "width": 0.25, "epochs": 5, "batch": 16, "shift": 0, **changes})


def task_of(split, validation=None):
    images = split.images[..., None]
    kept = None if validation is None else (validation.images[..., None], validation.labels)
    return ClassificationTask(images, split.labels, NORMALISATION, repeat_border=False, validation=kept)


def fresh(recipe):
    network = classifier(**arch_args(recipe))
    controls.initialise(network, recipe.seed)
    return network


def trained(recipe, split, state=None, report=lambda epochs: None):
    network = fresh(recipe)
    epochs = train(network, recipe, task_of(split), report, state)
    return network, epochs


def accuracy(network, split):
    return (predict(network.eval(), split.images) == split.labels).mean()


@pytest.mark.parametrize("block", ["dwca", "baseline"])
def test_training_learns(block, generated):
    network, epochs = trained(quick(block=block, epochs=8), generated.train)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert epochs[-1].loss < epochs[0].loss
    assert epochs[0].validation_accuracy is None
    assert accuracy(network, generated.test) > 0.9


def test_labels_that_do_not_fit_the_images_are_not_learnt(generated):
    labels = np.random.default_rng(0).permutation(generated.train.labels)
    network, _ = trained(quick(), Split(generated.train.images, labels))
    assert accuracy(network, generated.test) < 0.5


def test_the_validation_part_is_measured_after_every_epoch(generated):
    recipe = quick(epochs=2)
    network = fresh(recipe)
    epochs = train(network, recipe, task_of(generated.train, generated.test), lambda epochs: None)
    assert epochs[-1].validation_accuracy == accuracy(network, generated.test)


def few(generated):
    return Split(generated.train.images[:64], generated.train.labels[:64])


def states_equal(ours, theirs):
    return all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items())


def test_the_same_seed_gives_the_same_weights(generated):
    same, again, other = (trained(quick(epochs=1, shift=2, seed=seed), few(generated))[0] for seed in (3, 3, 4))
    assert states_equal(same, again)
    assert not torch.allclose(same.state_dict()["head.0.weight"], other.state_dict()["head.0.weight"])


class StoppedError(Exception):
    """Ends a training from its report, as an interruption would."""


def stop_after(number):
    def report(epochs):
        if len(epochs) == number:
            raise StoppedError

    return report


@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_interrupted_training_ends_with_the_same_weights(generated, tmp_path, after):
    recipe, split = quick(epochs=3, shift=2, dropout=0.3), few(generated)
    whole, all_epochs = trained(recipe, split)
    state = StateFile(tmp_path / "state.pt", {"recipe": "r"})
    with pytest.raises(StoppedError):
        trained(recipe, split, state, stop_after(after))
    seen = []
    resumed, epochs = trained(recipe, split, state, lambda done: seen.append(len(done)))
    assert seen == list(range(after, 4))
    assert states_equal(whole, resumed)
    assert [(e.lr, e.loss, e.train_accuracy) for e in epochs] == [(e.lr, e.loss, e.train_accuracy) for e in all_epochs]


def test_resuming_depends_on_the_optimiser_too(generated, tmp_path):
    recipe, split = quick(epochs=2), few(generated)
    whole, _ = trained(recipe, split)
    state = StateFile(tmp_path / "state.pt", {})
    with pytest.raises(StoppedError):
        trained(recipe, split, state, stop_after(1))
    content = torch.load(state.path, weights_only=True)
    for entry in content["optimiser"]["state"].values():
        entry["momentum_buffer"].zero_()
    torch.save(content, state.path)
    assert not states_equal(whole, trained(recipe, split, state)[0])


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "names"])
def test_a_damaged_state_is_refused(generated, tmp_path, damage):
    recipe, split = quick(epochs=2), few(generated)
    state = StateFile(tmp_path / "state.pt", {"recipe": "r"})
    with pytest.raises(StoppedError):
        trained(recipe, split, state, stop_after(1))
    content = state.path.read_bytes()
    if damage == "cut":
        state.path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        state.path.write_bytes(b"")
    elif damage == "other":
        torch.save({"weights": 1}, state.path)
    else:
        kept = torch.load(state.path, weights_only=True)
        kept["network"].pop("head.0.weight")
        torch.save(kept, state.path)
    with pytest.raises(InputRefusedError, match="this kept training cannot be read") as caught:
        trained(recipe, split, state)
    assert "state.pt" in caught.value.where
    assert "starts anew" in caught.value.hint


def test_another_training_is_not_continued(generated, tmp_path):
    recipe, split = quick(epochs=2), few(generated)
    with pytest.raises(StoppedError):
        trained(recipe, split, StateFile(tmp_path / "state.pt", {"recipe": {"lr": 0.1}}), stop_after(1))
    with pytest.raises(InputRefusedError, match=r"recipe: lr=0\.1, not 0\.2"):
        trained(recipe, split, StateFile(tmp_path / "state.pt", {"recipe": {"lr": 0.2}}))


def test_a_diverging_training_is_an_error(generated):
    with pytest.raises(UsageError, match="the training diverged") as caught:
        trained(quick(lr=1e6), generated.train)
    assert caught.value.where == "epoch 1"
    assert "smaller --lr than 1e+06" in caught.value.hint


class WithBuffer(nn.Module):
    """Learns, while a statistic that no loss shows has gone astray."""

    def __init__(self, value):
        super().__init__()
        self.linear = nn.Linear(28 * 28, 10)
        self.register_buffer("statistic", torch.tensor(value))

    def forward(self, x):
        return self.linear(x.flatten(1))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_an_error(generated, value):
    task = task_of(generated.train)
    with pytest.raises(UsageError, match="the training diverged") as caught:
        train(WithBuffer(value), quick(epochs=1, lr=1e-3), task, lambda epochs: None)
    assert caught.value.where == "final weights"
    train(WithBuffer(1.0), quick(epochs=1, lr=1e-3), task, lambda epochs: None)


def test_a_batch_larger_than_the_data_is_refused(generated):
    with pytest.raises(UsageError, match="batch=257 is more than the 256 training images"):
        trained(quick(batch=257), generated.train)


def test_a_full_disc_leaves_the_older_state_and_nothing_else(tmp_path, monkeypatch):
    network = nn.Linear(2, 2)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    state = StateFile(tmp_path / "state.pt", {"seed": 0})
    state.keep(network, optimiser, [])
    before = state.path.read_bytes()

    def full_disc(file, content):
        with file.open("wb") as stream:
            stream.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full_disc)
    with pytest.raises(OSError, match="No space left"):
        state.keep(network, optimiser, [])
    assert list(tmp_path.iterdir()) == [state.path]
    assert state.path.read_bytes() == before
