"""Scenes on their way into a detector, and its boxes on their way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from dwca_export.detect.decode import decode
from dwca_export.detect.spec import DetectorSpec
from models.data import thin_objects
from models.detection.anchors import STRIDES, choose_anchors
from models.detection.average_precision import Boxes

if TYPE_CHECKING:
    from torch import nn

    from models.data.thin_objects import Scenes

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

SCORE_THRESHOLD = 0.3
IOU_THRESHOLD = 0.5
LOWEST_SCORE = 0.01
"""Average precision needs the uncertain boxes too."""

_BATCH = 50


def spec_for(train: Scenes) -> DetectorSpec:
    """Strides, thresholds, and anchors chosen from the boxes of the training part."""
    side = train.images.shape[1]
    return DetectorSpec(STRIDES, choose_anchors(train.boxes), SCORE_THRESHOLD, IOU_THRESHOLD, side)


def boxes_by_image(scenes: Scenes) -> tuple[list[Floats], list[Bytes]]:
    """Boxes and labels of each image, of none at all for an empty one."""
    starts = np.searchsorted(scenes.scene, np.arange(1, len(scenes.images)))
    return np.split(scenes.boxes, starts), np.split(scenes.labels, starts)


def truth(scenes: Scenes) -> Boxes:
    """What there is to be found."""
    return Boxes(scenes.boxes, scenes.labels, scenes.scene, np.ones(len(scenes.labels), np.float32))


@torch.no_grad()
def predict(network: nn.Module, images: Bytes, spec: DetectorSpec, score: float = LOWEST_SCORE) -> Boxes:
    """Find the boxes in images, by the code that finds them on the device.

    Args:
        network: A detector in evaluation mode, on the CPU.
        images: uint8 `(N, H, W, 3)`.
        spec: How its maps hold boxes.
        score: The score from which a box counts.

    Returns:
        The boxes of all images; `scene` is the index of the image.
    """
    height, width = images.shape[1:3]
    detections = []
    for start in range(0, len(images), _BATCH):
        inputs = torch.from_numpy(thin_objects.normalise(images[start : start + _BATCH]))
        maps = [one.numpy() for one in network(inputs.contiguous(memory_format=torch.channels_last))]
        for index in range(len(inputs)):
            one = [values[index : index + 1] for values in maps]
            detections.append(decode(one, spec, height, width, score=score))
    return Boxes.of(detections)
