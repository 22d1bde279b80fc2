"""The training recipe: that it learns, repeats itself, and ends with an error when it diverges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dwca_export.errors import UsageError
from models.data.fashion import Split
from models.nets import classifier
from models.publish import arch_args, predict
from models.recipe import Recipe, augment, lr_factor, train


def quick(**changes):
    return Recipe(**{"block": "baseline", "width": 0.25, "epochs": 5, "batch": 16, "shift": 0, **changes})


def accuracy(network, split):
    return (predict(network.eval(), split.images) == split.labels).mean()


def trained(recipe, split):
    lines = []
    torch.manual_seed(recipe.seed)
    network = classifier(**arch_args(recipe))
    train(network, recipe, split, lines.append)
    return network, lines


@pytest.mark.parametrize("block", ["dwca", "baseline"])
def test_training_learns(block, generated):
    network, lines = trained(quick(block=block), generated.train)
    assert [line.split()[1] for line in lines] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert accuracy(network, generated.test) > 0.9


def test_labels_that_do_not_fit_the_images_are_not_learnt(generated):
    labels = np.random.default_rng(0).permutation(generated.train.labels)
    network, _ = trained(quick(), Split(generated.train.images, labels))
    assert accuracy(network, generated.test) < 0.5


def test_the_same_seed_gives_the_same_weights(generated):
    few = Split(generated.train.images[:64], generated.train.labels[:64])
    states = [trained(quick(epochs=1, shift=2, seed=seed), few)[0].state_dict() for seed in (3, 3, 4)]
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor)
    assert not torch.allclose(states[0]["head.0.weight"], states[2]["head.0.weight"])


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
    with pytest.raises(UsageError, match="the training diverged") as caught:
        train(WithBuffer(value), quick(epochs=1, lr=1e-3), generated.train, lambda line: None)
    assert caught.value.where == "final weights"
    train(WithBuffer(1.0), quick(epochs=1, lr=1e-3), generated.train, lambda line: None)


def test_a_batch_larger_than_the_data_is_refused(generated):
    with pytest.raises(UsageError, match="batch=257 is more than the 256 training images"):
        trained(quick(batch=257), generated.train)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch", 0),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("warmup_epochs", 5),
        ("momentum", 0.0),
        ("momentum", 1.0),
        ("weight_decay", -1e-4),
        ("label_smoothing", 1.0),
        ("shift", 28),
    ],
)
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(UsageError, match=f"{name}={value} cannot be"):
        quick(**{name: value})


def test_learning_rate_rises_and_then_falls_to_zero():
    factors = [lr_factor(step, 100, 10) for step in range(101)]
    assert factors[:10] == sorted(factors[:10])
    assert max(factors) == factors[10] == 1
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[99] > factors[100] == pytest.approx(0)
    assert lr_factor(0, 100, 0) == 1


def pixels(count):
    """One image per pixel of the inner 24x24: moved by 2 at most, the pixel stays in view."""
    images = torch.zeros(count, 28, 28, dtype=torch.uint8)
    places = torch.arange(count)
    images[places, 2 + places % 24, 2 + places // 24 % 24] = 200
    return images


def test_augmentation_mirrors_and_shifts():
    images = pixels(576)
    moved = augment(images, 2, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    assert moved.dtype == torch.uint8
    assert torch.equal(moved.sum((1, 2)), images.sum((1, 2)))
    before, after = images.nonzero(), moved.nonzero()
    assert set((after[:, 1] - before[:, 1]).tolist()) == {-2, -1, 0, 1, 2}
    straight = (after[:, 2] - before[:, 2]).abs() <= 2
    mirrored = (after[:, 2] - (27 - before[:, 2])).abs() <= 2
    assert torch.all(straight | mirrored)
    assert 0.4 < straight.float().mean() < 0.7


def test_augmentation_without_shift_only_mirrors():
    images = torch.randint(0, 256, (64, 28, 28), dtype=torch.uint8)
    moved = augment(images, 0, torch.Generator().manual_seed(0))
    same = (moved == images).all(2).all(1)
    mirrored = (moved == images.flip(2)).all(2).all(1)
    assert torch.all(same ^ mirrored)
    assert 0 < same.sum() < 64


def test_what_comes_into_view_is_background():
    moved = augment(torch.full((64, 28, 28), 255, dtype=torch.uint8), 3, torch.Generator().manual_seed(0))
    assert set(moved.unique().tolist()) == {0, 255}
    assert torch.all(moved[:, 3:-3, 3:-3] == 255)
