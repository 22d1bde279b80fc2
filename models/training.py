"""One training loop for any task: SGD, warm-up and cosine, taken up again after an interruption, stopped at NaN."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from dwca_export.errors import UsageError
from models.recipe import Recipe, lr_factor

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.training_state import StateFile

Batch = tuple[Tensor, Any]


class Task(Protocol):
    """What a network is trained on, and what its outputs are held against."""

    @property
    def train_images(self) -> int:
        """Number of training images."""

    def batch(self, picked: Tensor, recipe: Recipe, generator: torch.Generator) -> Batch:
        """Make the inputs and targets of one step from the training images `picked`, int64 `(N,)`."""

    def loss(self, network: nn.Module, batch: Batch, recipe: Recipe) -> tuple[Tensor, int | None]:
        """Compute the loss to minimise, and how many of the images are classified rightly where that is known."""

    def validate(self, network: nn.Module) -> float | None:
        """Judge the network on the validation part, where that is cheap; the network is in evaluation mode."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        epoch: Its number, from 1.
        lr: Learning rate of its last step.
        loss: Mean over its steps.
        train_accuracy: Of the augmented images, as the network saw them in training; None where a task has no such.
        validation_accuracy: After the epoch; None where a task does not measure it.
        seconds: Wall-clock time.
    """

    epoch: int
    lr: float
    loss: float
    train_accuracy: float | None
    validation_accuracy: float | None
    seconds: float


def train(
    network: nn.Module,
    recipe: Recipe,
    task: Task,
    report: Callable[[list[Epoch]], None],
    state: StateFile | None = None,
) -> list[Epoch]:
    """Train a network in place, from where an interrupted training ended if there is one.

    Every epoch has random numbers of its own, made from the recipe's seed and the number of the epoch: a training that
    was taken up again ends with the same weights as one that was not interrupted.

    Args:
        network: The initialised network, on the device that the task's batches are on.
        recipe: How to train.
        task: What to train on.
        report: Is given all epochs so far after each, those of an interrupted training once before the first.
        state: Where the training is kept after every epoch; None: nowhere.

    Returns:
        All epochs.

    Raises:
        UsageError: There are fewer images than one batch, or the training diverged; the weights are of no use then.
        InputRefusedError: `state` holds something that cannot be continued.
    """
    steps = _steps(task, recipe)
    optimiser = _optimiser(network, recipe)
    epochs = state.resume(network, optimiser) if state else []
    if epochs:
        report(epochs)
    for number in range(len(epochs) + 1, recipe.epochs + 1):
        epochs = [*epochs, _epoch(network, optimiser, recipe, task, number, steps)]
        if state:
            state.keep(network, optimiser, epochs)
        report(epochs)
    _require_finite(_magnitude(network), recipe, "final weights")
    network.eval()
    return epochs


def _epoch(
    network: nn.Module, optimiser: torch.optim.SGD, recipe: Recipe, task: Task, number: int, steps: int
) -> Epoch:
    start = time.monotonic()
    generator = _seed_epoch(recipe.seed, number)
    order = torch.randperm(task.train_images, generator=generator)[: steps * recipe.batch].view(steps, recipe.batch)
    loss_sum, lr = 0.0, 0.0
    correct: int | None = 0
    network.train()
    for index, picked in enumerate(order):
        done = (number - 1) * steps + index
        lr = recipe.lr * lr_factor(done, steps * recipe.epochs, steps * recipe.warmup_epochs)
        value, right = _step(network, optimiser, lr, recipe, task, task.batch(picked, recipe, generator))
        _require_finite(value, recipe, f"epoch {number}")
        loss_sum += value
        correct = None if right is None or correct is None else correct + right
    network.eval()
    accuracy = None if correct is None else correct / order.numel()
    return Epoch(number, lr, loss_sum / steps, accuracy, task.validate(network), time.monotonic() - start)


def _step(
    network: nn.Module, optimiser: torch.optim.SGD, lr: float, recipe: Recipe, task: Task, batch: Batch
) -> tuple[float, int | None]:
    for group in optimiser.param_groups:
        group["lr"] = lr
    optimiser.zero_grad()
    loss, right = task.loss(network, batch, recipe)
    torch.autograd.backward(loss)
    optimiser.step()
    return loss.item(), right


def _seed_epoch(seed: int, number: int) -> torch.Generator:
    """Seed torch's own generator, which dropout draws from, and make one for the order and the augmentation."""
    digest = hashlib.sha256(f"{seed}/epoch {number}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:7], "little"))
    return torch.Generator().manual_seed(int.from_bytes(digest[8:15], "little"))


def _steps(task: Task, recipe: Recipe) -> int:
    steps = task.train_images // recipe.batch
    if steps == 0:
        raise UsageError(
            f"batch={recipe.batch} is more than the {task.train_images} training images",
            where="recipe",
            hint="a smaller batch, or more images",
        )
    return steps


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    weights = [p for p in network.parameters() if p.ndim > 1]
    scales_and_biases = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": scales_and_biases},
    ]
    # One call for all parameters: at two images per step, hundreds of small ones would take as long as the network.
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=True, fused=True)


def _magnitude(network: nn.Module) -> float:
    return sum(float(t.double().abs().sum()) for t in network.state_dict().values())


def _require_finite(value: float, recipe: Recipe, where: str) -> None:
    if not math.isfinite(value):
        raise UsageError(
            f"the training diverged: {value}", where=where, hint=f"choose a smaller --lr than {recipe.lr:g}"
        )
