"""The training recipe: the numbers that decide how a network is trained, and the course of the learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dwca_export.errors import UsageError

MIRRORS = ("none", "columns", "both", "all")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is trained and how: SGD with Nesterov momentum, linear warm-up, cosine to 0.

    Attributes:
        block: What the network is built from, such as "dwca" or "baseline".
        width: Factor on the channel counts of the network.
        epochs: Passes over the training images.
        batch: Images per step; a rest that fills no batch is left out of its epoch.
        lr: Highest learning rate, reached after the warm-up, annealed to 0 by a cosine.
        warmup_epochs: Epochs in which the learning rate rises linearly.
        momentum: Nesterov momentum.
        weight_decay: L2 penalty on the weights of convolutions and linear layers.
        label_smoothing: Probability spread over all classes.
        dropout: Probability of the dropout before the last layer.
        shift: Largest shift of a training image along either axis, in pixels.
        mirror: Which axes are reversed in half of the training images each: "none", "columns", "both", or "all", which
            also exchanges rows and columns in half of them.
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
    mirror: str = "columns"
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
            "shift": (self.shift >= 0, "at least 0"),
            "mirror": (self.mirror in MIRRORS, f"one of {', '.join(MIRRORS)}"),
        }
        for name, (holds, valid) in ranges.items():
            if not holds:
                raise UsageError(f"{name}={getattr(self, name)} cannot be", where="recipe", hint=f"{name} is {valid}")


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
