"""A detector's bundle, ready to find boxes in images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.audit.integrity import open_whole_bundle
from dwca_export.detect.decode import Detections, decode
from dwca_export.detect.letterbox import letterbox
from dwca_export.detect.spec import DetectorSpec
from dwca_export.errors import ConversionError, InputRefusedError
from dwca_export.runners.bundle import open_bundle
from dwca_export.samples import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from dwca_export.runners.ncnn import NcnnRunner

_IMAGE_RANK = 4  # N, C, H, W
_NOT_A_DETECTOR = "export it again with a card whose `detection` names strides and anchors, as those of the zoo do"


class Detector:
    """Runs the network of a bundle in ncnn and reads its maps.

    Args:
        folder: The bundle; every file of it is held to its hash.
        precision: Which weights to use: `fp32` or `fp16`; the most exact ones by default.
        mode: Precision of ncnn's arithmetic; see `NcnnRunner`.
        threads: Threads that ncnn may use.
        score: Another score threshold than the bundle's.
        iou: Another overlap threshold than the bundle's.
        across_classes: Whether a box is dropped for a better one of another class too.

    Attributes:
        labels: Names of the classes.
        spec: How the maps hold boxes; with the thresholds that are used.

    Raises:
        InputRefusedError: No bundle, a damaged one, or one that does not say how its outputs hold boxes.
        ConversionError: ncnn does not load the network.
    """

    def __init__(
        self,
        folder: Path,
        *,
        precision: str | None = None,
        mode: str = "fp32",
        threads: int = 1,
        score: float | None = None,
        iou: float | None = None,
        across_classes: bool = False,
    ) -> None:
        manifest, _ = open_whole_bundle(folder)
        self.labels = tuple(manifest["labels"])
        self.spec = _with_thresholds(_read_spec(manifest, folder), score, iou)
        self.preprocessing = _read_preprocessing(manifest, folder)
        self._across_classes = across_classes
        self._outputs = [entry["name"] for entry in manifest["outputs"]]
        self._input = manifest["inputs"][0]
        chosen = precision or next(iter(manifest["networks"]))
        self._runner: NcnnRunner = open_bundle(folder, precision=chosen, mode=mode, threads=threads)

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.__exit__(kind, error, trace)

    def detect(self, pixels: np.ndarray) -> Detections:
        """Find the boxes in an image.

        Args:
            pixels: uint8 `(H, W, C)` of any size.

        Returns:
            The boxes, in pixels of the image.

        Raises:
            InputRefusedError: The network does not take images of 1 or 3 channels.
            UsageError: The image has to be resized, and Pillow is not installed.
            ConversionError: ncnn fails, or computes NaN or infinity.
        """
        _, channels, height, width = self._input["shape"]
        fitted, placement = letterbox(pixels, channels, height, width)
        outputs = self._runner.infer({self._input["name"]: self.preprocessing(fitted)})
        maps = [outputs[name] for name in self._outputs]
        if not all(np.isfinite(one).all() for one in maps):
            raise ConversionError("the network computes NaN or infinity", where="ncnn", hint="run dwca-parity on it")
        found = decode(maps, self.spec, height, width, across_classes=self._across_classes)
        boxes = placement.to_image(found.boxes)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return Detections(boxes[inside], found.scores[inside], found.labels[inside])


def _read_spec(manifest: Mapping[str, Any], folder: Path) -> DetectorSpec:
    document = manifest.get("detection")
    if document is None:
        raise InputRefusedError(
            "the bundle does not say how its outputs hold boxes", where=str(folder), hint=_NOT_A_DETECTOR
        )
    spec = DetectorSpec.from_document(document)
    shapes = [entry["shape"] for entry in manifest["inputs"]]
    if len(shapes) != 1 or len(shapes[0]) != _IMAGE_RANK:
        raise InputRefusedError("the network does not take one image", where=str(folder), hint=_NOT_A_DETECTOR)
    spec.check_maps([entry["shape"] for entry in manifest["outputs"]], len(manifest["labels"]), shapes[0][2:])
    return spec


def _with_thresholds(spec: DetectorSpec, score: float | None, iou: float | None) -> DetectorSpec:
    given = {"score_threshold": score, "iou_threshold": iou}
    changes = {name: value for name, value in given.items() if value is not None}
    return DetectorSpec.from_document({**spec.document(), **changes}) if changes else spec


def _read_preprocessing(manifest: Mapping[str, Any], folder: Path) -> Preprocessing:
    preprocessing = Preprocessing.from_card({"input": manifest["inputs"][0].get("preprocessing") or {}})
    if not preprocessing.known:
        raise InputRefusedError(
            "the bundle does not say how pixels become its input",
            where=str(folder),
            hint="export it again with a card whose `input` has mean and std",
        )
    return preprocessing
