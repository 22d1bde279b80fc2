"""Task "scenes": where in an image thin objects lie, and which they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dwca_export.detect.decode import anchor_grid
from models.augment import draw_moves, move_boxes, move_images, require_room
from models.data import thin_objects
from models.detection import scenes as detection
from models.detection.average_precision import average_precisions, mean_average_precision
from models.detection.loss import detection_loss, set_prior
from models.detection.matching import make_targets
from models.experiment.tasks import objects
from models.experiment.tasks.task import ExperimentTask

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from dwca_export.detect.spec import DetectorSpec
    from models.detection.matching import Targets
    from models.experiment.tasks.task import Arrays, Metrics
    from models.recipe import Recipe
    from models.training import Batch

identify = objects.identify


class DetectionTask:
    """Trains a detector on augmented scenes.

    Args:
        scenes: The training part.
        spec: How the detector's maps hold boxes.
        device: Where the network is.
    """

    def __init__(self, scenes: thin_objects.Scenes, spec: DetectorSpec, device: str) -> None:
        self._images = torch.tensor(scenes.images, device=device)
        boxes, labels = detection.boxes_by_image(scenes)
        self._boxes = [torch.tensor(some) for some in boxes]
        self._labels = labels
        self._anchors_per_cell = len(spec.anchors[0])
        self._anchors = anchor_grid(spec, *scenes.images.shape[1:3])

    @property
    def train_images(self) -> int:
        """Number of training images."""
        return len(self._images)

    def batch(self, picked: Tensor, recipe: Recipe, generator: torch.Generator) -> Batch:
        """Make the inputs and targets of one step; an object that is half out of view is not to be found."""
        height, width = self._images.shape[1:3]
        require_room(recipe.shift, min(height, width))
        moves = draw_moves(len(picked), recipe.shift, recipe.mirror, generator)
        images = move_images(self._images[picked.to(self._images.device)], moves, repeat_border=True)
        boxes, labels = [], []
        for index, image in enumerate(picked.tolist()):
            mine = torch.full((len(self._boxes[image]),), index)
            moved, visible = move_boxes(self._boxes[image], mine, moves, (height, width))
            boxes.append(moved[visible].numpy())
            labels.append(self._labels[image][visible.numpy()])
        return objects.NORMALISATION.apply(images), make_targets(boxes, labels, self._anchors)

    def loss(self, network: nn.Module, batch: Batch, recipe: Recipe) -> tuple[Tensor, int | None]:  # noqa: ARG002
        """Compute the loss of classes and boxes; nothing is counted as right or wrong."""
        inputs, targets = batch
        return self._loss(network(inputs), targets), None

    def validate(self, network: nn.Module) -> float | None:  # noqa: ARG002
        """Measure nothing: the average precision takes as long as an epoch."""
        return None

    def _loss(self, maps: tuple[Tensor, ...], targets: Targets) -> Tensor:
        return detection_loss(maps, targets, self._anchors_per_cell)


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
    train, test = thin_objects.load_scenes(data, "train"), thin_objects.load_scenes(data, "test")
    spec = detection.spec_for(train)

    def measure(network: nn.Module) -> tuple[Metrics, Arrays]:
        return _measure(network, test, spec)

    extra = {"labels": list(thin_objects.CLASSES), "detection": spec.document()}
    return ExperimentTask(DetectionTask(train, spec, device), measure, extra, prepare=set_prior)


def _measure(network: nn.Module, test: thin_objects.Scenes, spec: DetectorSpec) -> tuple[Metrics, Arrays]:
    found, truth = detection.predict(network.cpu(), test.images, spec), detection.truth(test)
    classes = thin_objects.CLASSES
    precisions = average_precisions(found, truth, len(classes))
    metrics: dict[str, Any] = {
        "test_map50": mean_average_precision(found, truth, len(classes)),
        # A class of which the part has no box has no precision, and JSON no NaN.
        "per_class": {
            name: None if np.isnan(value) else float(value) for name, value in zip(classes, precisions, strict=True)
        },
    }
    arrays = {"boxes": found.boxes, "scores": found.scores, "labels": found.labels, "scene": found.scene}
    return metrics, arrays
