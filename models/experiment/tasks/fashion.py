"""Task "fashion": Fashion-MNIST, photographs whose kinds of clothing look alike too."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from models.classification import ClassificationTask, Normalisation, class_metrics, logits_of
from models.data import fashion
from models.experiment.tasks.task import ExperimentTask

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from models.experiment.tasks.task import Arrays, Metrics

NORMALISATION = Normalisation((fashion.MEAN,), (fashion.STD,))
# The set has no validation part of its own: these last images of the training part are not trained on.
VALIDATION_IMAGES = 5000


def identify(data: Path | None) -> dict[str, str]:
    """Say which data set a folder holds.

    Args:
        data: Folder of the four `.gz` files; None: their default place.

    Returns:
        Its `name`, and the `sha256` of all images and labels.

    Raises:
        InputRefusedError: A file is absent or damaged.
    """
    dataset = fashion.load(data)
    digest = hashlib.sha256()
    for split in (dataset.train, dataset.test):
        digest.update(split.images.tobytes())
        digest.update(split.labels.tobytes())
    return {"name": "Fashion-MNIST", "sha256": digest.hexdigest()}


def open_task(data: Path | None, device: str) -> ExperimentTask:
    """Read the data.

    Args:
        data: Folder of the four `.gz` files; None: their default place.
        device: Where training takes place.

    Returns:
        The task.

    Raises:
        InputRefusedError: A file is absent or damaged.
    """
    dataset = fashion.load(data)
    train, test = dataset.train, dataset.test
    images = train.images[..., None]
    training = ClassificationTask(
        images[:-VALIDATION_IMAGES],
        train.labels[:-VALIDATION_IMAGES],
        NORMALISATION,
        repeat_border=False,
        validation=(images[-VALIDATION_IMAGES:], train.labels[-VALIDATION_IMAGES:]),
        device=device,
    )

    def measure(network: nn.Module) -> tuple[Metrics, Arrays]:
        logits = logits_of(network, test.images[..., None], NORMALISATION)
        return class_metrics(logits, test.labels, fashion.LABELS), {"logits": logits, "labels": test.labels}

    return ExperimentTask(training, measure, {"labels": list(fashion.LABELS)})
