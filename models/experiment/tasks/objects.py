"""Task "objects": which of eleven thin objects an image shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.classification import ClassificationTask, Normalisation, class_metrics, logits_of
from models.data import thin_objects
from models.experiment.tasks.task import ExperimentTask

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from models.experiment.tasks.task import Arrays, Metrics

NORMALISATION = Normalisation(thin_objects.MEAN, thin_objects.STD)


def identify(data: Path | None) -> dict[str, str]:
    """Say which data set a folder holds.

    Args:
        data: Folder of the built set; None: its default place.

    Returns:
        Its `name` and `sha256`.

    Raises:
        InputRefusedError: There is none, or its description is damaged.
    """
    return {"name": thin_objects.describe(data)["name"], "sha256": thin_objects.dataset_sha256(data)}


def open_task(data: Path | None, device: str) -> ExperimentTask:
    """Read the data.

    Args:
        data: Folder of the built set; None: its default place.
        device: Where training takes place.

    Returns:
        The task.

    Raises:
        InputRefusedError: The set is absent or damaged.
    """
    train = thin_objects.load_objects(data, "train")
    validation = thin_objects.load_objects(data, "validation")
    test = thin_objects.load_objects(data, "test")
    training = ClassificationTask(
        train.images,
        train.labels,
        NORMALISATION,
        repeat_border=True,
        validation=(validation.images, validation.labels),
        device=device,
    )

    def measure(network: nn.Module) -> tuple[Metrics, Arrays]:
        logits = logits_of(network, test.images, NORMALISATION)
        return class_metrics(logits, test.labels, thin_objects.CLASSES), {"logits": logits, "labels": test.labels}

    return ExperimentTask(training, measure, {"labels": list(thin_objects.CLASSES)})
