"""Image classification as a task of the training loop, and what a trained classifier's logits come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dwca_export.errors import InputRefusedError
from models.augment import draw_moves, move_images, require_room

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from models.recipe import Recipe
    from models.training import Batch

    Bytes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Normalisation:
    """What a network's inputs are: pixels scaled to 0..1, less `mean`, divided by `std`, each per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, images: Tensor) -> Tensor:
        """Turn images into inputs.

        Args:
            images: uint8 `(N, H, W, C)`.

        Returns:
            float32 `(N, C, H, W)`, on the same device, in channels_last layout, which is the faster one on CPUs.
        """
        mean, std = (torch.tensor(values, device=images.device) for values in (self.mean, self.std))
        return torch.addcmul(-mean / std, images.float(), 1 / (255 * std)).permute(0, 3, 1, 2)


class ClassificationTask:
    """Trains a classifier on augmented images.

    Args:
        images: Training images, uint8 `(N, H, W, C)`.
        labels: Their classes, `(N,)`.
        normalisation: What turns images into inputs.
        repeat_border: Whether what a shift brings into view repeats the border; else it is 0.
        validation: Images and labels of the validation part, measured after every epoch; None: nothing is measured.
        device: Where the network is.

    Raises:
        InputRefusedError: Images and labels do not fit each other.
    """

    def __init__(
        self,
        images: Bytes,
        labels: Bytes,
        normalisation: Normalisation,
        *,
        repeat_border: bool,
        validation: tuple[Bytes, Bytes] | None = None,
        device: str = "cpu",
    ) -> None:
        _require_pairs(images, labels)
        self._images = torch.tensor(images, device=device)
        self._labels = torch.tensor(labels, device=device).long()
        self._normalisation = normalisation
        self._repeat_border = repeat_border
        self._validation = validation

    @property
    def train_images(self) -> int:
        """Number of training images."""
        return len(self._images)

    def batch(self, picked: Tensor, recipe: Recipe, generator: torch.Generator) -> Batch:
        """Make the inputs and targets of one step.

        Args:
            picked: Which training images, int64 `(N,)`.
            recipe: Says how far images are shifted and along which axes they are mirrored.
            generator: Source of the random choices.

        Returns:
            Inputs float32 `(N, C, H, W)` and labels int64 `(N,)`.

        Raises:
            UsageError: The recipe's shift leaves nothing of the images.
        """
        require_room(recipe.shift, min(self._images.shape[1:3]))
        picked = picked.to(self._images.device)
        moves = draw_moves(len(picked), recipe.shift, recipe.mirror, generator)
        moved = move_images(self._images[picked], moves, repeat_border=self._repeat_border)
        return self._normalisation.apply(moved), self._labels[picked]

    def loss(self, network: nn.Module, batch: Batch, recipe: Recipe) -> tuple[Tensor, int | None]:
        """Compute the cross-entropy, and how many images are classified rightly."""
        inputs, labels = batch
        logits = network(inputs)
        loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        return loss, int((logits.detach().argmax(1) == labels).sum())

    def validate(self, network: nn.Module) -> float | None:
        """Measure the share of validation images that are classified rightly."""
        if self._validation is None:
            return None
        images, labels = self._validation
        return float((logits_of(network, images, self._normalisation).argmax(1) == labels).mean())


@torch.no_grad()
def logits_of(network: nn.Module, images: Bytes, normalisation: Normalisation) -> Floats:
    """Classify images.

    Args:
        network: In evaluation mode, on any device.
        images: uint8 `(N, H, W, C)`.
        normalisation: What turns images into inputs.

    Returns:
        Logits, float32 `(N, classes)`.
    """
    device = next(network.parameters()).device
    parts = torch.split(torch.tensor(images), _EVALUATION_BATCH)
    logits = [network(normalisation.apply(part.to(device))).float().cpu() for part in parts]
    return np.asarray(torch.cat(logits).numpy(), np.float32)


def class_metrics(logits: Floats, labels: Bytes, classes: Sequence[str]) -> dict[str, Any]:
    """Measure how often each class is recognised.

    Args:
        logits: float32 `(N, len(classes))`.
        labels: `(N,)`.
        classes: Names of the classes.

    Returns:
        `per_class`: by name, the share of its images that are classified rightly; `test_accuracy`: the mean of these,
        so that every class counts alike.

    Raises:
        InputRefusedError: A class has no image.
    """
    right = logits.argmax(1) == labels
    absent = [name for index, name in enumerate(classes) if not (labels == index).any()]
    if absent:
        raise InputRefusedError(
            f"there is no test image of {', '.join(absent)}", where="test part", hint="build the data set anew"
        )
    per_class = {name: float(right[labels == index].mean()) for index, name in enumerate(classes)}
    return {"test_accuracy": float(np.mean(list(per_class.values()))), "per_class": per_class}


def _require_pairs(images: Bytes, labels: Bytes) -> None:
    if images.ndim != 4 or len(images) != len(labels):  # noqa: PLR2004 # N, H, W, C
        raise InputRefusedError(
            f"images {images.shape} and labels {labels.shape} do not fit each other",
            where="training part",
            hint="images are (N, H, W, C), labels (N,)",
        )
