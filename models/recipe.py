"""The training recipe: SGD with Nesterov momentum, warm-up and cosine, on shifted and mirrored images."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from dwca_export.errors import UsageError
from models.data import fashion

Report = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is trained and how.

    Attributes:
        block: "dwca" or "baseline".
        width: Factor on the channel counts of `models.nets.classifier`.
        epochs: Passes over the training images.
        batch: Images per step; a rest that fills no batch is left out of its epoch.
        lr: Highest learning rate, reached after the warm-up, annealed to 0 by a cosine.
        warmup_epochs: Epochs in which the learning rate rises linearly.
        momentum: Nesterov momentum.
        weight_decay: L2 penalty on the weights of convolutions and linear layers.
        label_smoothing: Probability spread over all classes.
        dropout: Probability of the dropout before the last layer.
        shift: Largest shift of a training image along either axis, in pixels.
        seed: Of the initial weights, the order of the images, their shifts and the dropout.

    Raises:
        UsageError: A number is out of its range.
    """

    block: str = "dwca"
    width: float = 0.6
    epochs: int = 10
    batch: int = 128
    lr: float = 0.1
    warmup_epochs: float = 0.5
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    dropout: float = 0.1
    shift: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch": (self.batch >= 1, "at least 1"),
            "lr": (0 < self.lr < math.inf, "above 0"),
            "warmup_epochs": (0 <= self.warmup_epochs < self.epochs, f"at least 0 and below epochs={self.epochs}"),
            "momentum": (0 < self.momentum < 1, "between 0 and 1"),
            "weight_decay": (0 <= self.weight_decay < 1, "at least 0 and below 1"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "at least 0 and below 1"),
            "shift": (0 <= self.shift < fashion.SIDE, f"0 to {fashion.SIDE - 1}"),
        }
        for name, (holds, valid) in ranges.items():
            if not holds:
                raise UsageError(f"{name}={getattr(self, name)} cannot be", where="recipe", hint=f"{name} is {valid}")


def train(network: nn.Module, recipe: Recipe, split: fashion.Split, report: Report) -> None:
    """Train a network in place; the caller has seeded torch and built the network.

    Args:
        network: Takes `(N, 1, 28, 28)`, returns logits `(N, 10)`.
        recipe: How to train.
        split: What to train on.
        report: Is given one line per epoch.

    Raises:
        UsageError: Fewer images than one batch, or the training diverged; the network's weights are then of no use.
    """
    steps = len(split.images) // recipe.batch
    if steps == 0:
        raise UsageError(
            f"batch={recipe.batch} is more than the {len(split.images)} training images",
            where="recipe",
            hint="choose a smaller --batch",
        )
    optimiser = _optimiser(network, recipe)
    schedule = LambdaLR(optimiser, lambda step: lr_factor(step, steps * recipe.epochs, steps * recipe.warmup_epochs))
    generator = torch.Generator().manual_seed(recipe.seed)
    network.train()
    for epoch in range(1, recipe.epochs + 1):
        start = time.monotonic()
        loss_sum, correct = 0.0, 0
        for images, labels in _batches(split, recipe, generator):
            loss, logits = _step(network, optimiser, images, labels, recipe)
            _require_finite(loss, recipe, f"epoch {epoch}")
            schedule.step()
            loss_sum += loss
            correct += int((logits.argmax(1) == labels).sum())
        report(
            f"epoch {epoch}/{recipe.epochs}  loss {loss_sum / steps:.4f}  "
            f"training accuracy {correct / (steps * recipe.batch):.4f}  {time.monotonic() - start:.0f} s"
        )
    _require_finite(sum(float(t.double().abs().sum()) for t in network.state_dict().values()), recipe, "final weights")


def lr_factor(step: int, steps: int, warmup: float) -> float:
    """Learning rate of one step as a fraction of the highest.

    Args:
        step: The step, from 0.
        steps: Steps in all.
        warmup: Steps of the linear warm-up.

    Returns:
        Above 0 and at most 1 before `steps`; 0 at `steps`.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def augment(images: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """Mirror half of the images and shift each by up to `shift` pixels; what comes into view is background.

    Args:
        images: uint8 `(N, H, W)`.
        shift: Largest shift along either axis, in pixels.
        generator: Source of the random choices.

    Returns:
        uint8 `(N, H, W)`.
    """
    count, height, width = images.shape
    padded = functional.pad(images, (shift,) * 4)
    top, left = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=generator)
    rows = top + torch.arange(height)
    columns = left + torch.arange(width)
    mirrored = torch.rand(count, 1, generator=generator) < 0.5  # noqa: PLR2004
    columns = torch.where(mirrored, columns.flip(1), columns)
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _batches(split: fashion.Split, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    images, labels = torch.tensor(split.images), torch.tensor(split.labels).long()
    order = torch.randperm(len(images), generator=generator)
    for picked in order[: len(order) // recipe.batch * recipe.batch].view(-1, recipe.batch):
        augmented = augment(images[picked], recipe.shift, generator)
        inputs = torch.from_numpy(fashion.normalise(augmented.numpy()))
        yield inputs.contiguous(memory_format=torch.channels_last), labels[picked]


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    weights = [p for p in network.parameters() if p.ndim > 1]
    scales_and_biases = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": scales_and_biases},
    ]
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=True)


def _step(
    network: nn.Module, optimiser: torch.optim.SGD, batch: Tensor, labels: Tensor, recipe: Recipe
) -> tuple[float, Tensor]:
    optimiser.zero_grad()
    logits = network(batch)
    loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    torch.autograd.backward(loss)
    optimiser.step()
    return loss.item(), logits.detach()


def _require_finite(value: float, recipe: Recipe, where: str) -> None:
    if not math.isfinite(value):
        raise UsageError(
            f"the training diverged: {value}", where=where, hint=f"choose a smaller --lr than {recipe.lr:g}"
        )
