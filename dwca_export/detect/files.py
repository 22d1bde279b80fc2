"""Finds boxes in files of images, and draws them: what `dwca-detect` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dwca_export.audit.forked import in_child
from dwca_export.detect.detector import Detector
from dwca_export.detect.pictures import check_targets, draw, require_pillow, write_all
from dwca_export.errors import InputRefusedError, UsageError
from dwca_export.images import MAX_CHANNELS, read_image
from dwca_export.samples import read_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np

    from dwca_export.detect.decode import Detections
    from dwca_export.detect.spec import DetectorSpec

ARRAYS = (".npy", ".npz")


@dataclass(frozen=True)
class DetectRequest:
    """What the user asked for.

    Attributes:
        bundle: The bundle.
        images: Image files, or `.npy` and `.npz` files of uint8 pixels `N x H x W x C`.
        out: Folder for the pictures; None for none.
        force: Whether older pictures may be replaced.
        score: Score threshold; None for the bundle's.
        iou: Overlap threshold; None for the bundle's.
        across_classes: Whether a box is dropped for a better one of another class too.
        precision: Weights; None for the most exact.
        mode: Precision of ncnn's arithmetic.
        threads: Threads that ncnn may use.
    """

    bundle: Path
    images: tuple[Path, ...]
    out: Path | None = None
    force: bool = False
    score: float | None = None
    iou: float | None = None
    across_classes: bool = False
    precision: str | None = None
    mode: str = "fp32"
    threads: int = 1


class _Image(NamedTuple):
    name: str  # as `Seen.image`
    picture: str  # name of the file that it is drawn into
    pixels: np.ndarray


@dataclass(frozen=True)
class Seen:
    """What was found in one image.

    Attributes:
        image: Its name: of an array's image with its number, `scenes.npy[3]`.
        height: In pixels.
        width: In pixels.
        found: The boxes.
        picture: Where they are drawn; None for nowhere.
    """

    image: str
    height: int
    width: int
    found: Detections
    picture: Path | None


@dataclass(frozen=True)
class Report:
    """What was found in all images.

    Attributes:
        labels: Names of the classes.
        spec: Thresholds that were used, among others.
        images: One entry for each image, in order.
    """

    labels: tuple[str, ...]
    spec: DetectorSpec
    images: tuple[Seen, ...]

    def document(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {
            "score_threshold": self.spec.score_threshold,
            "iou_threshold": self.spec.iou_threshold,
            "images": [self._describe(seen) for seen in self.images],
        }

    def _describe(self, seen: Seen) -> dict[str, Any]:
        rows = zip(seen.found.labels.tolist(), seen.found.scores.tolist(), seen.found.boxes.tolist(), strict=True)
        return {
            "image": seen.image,
            "height": seen.height,
            "width": seen.width,
            "picture": str(seen.picture) if seen.picture else None,
            "boxes": [{"label": self.labels[label], "score": score, "box": box} for label, score, box in rows],
        }


def detect_files(request: DetectRequest) -> Report:
    """Find boxes in images, and draw them.

    Everything is found before anything is written: an image that cannot be read leaves no pictures of the others.

    Raises:
        UsageError: There is no such image, a picture is in the way, or Pillow is needed and not installed.
        InputRefusedError: The bundle or an image cannot be used.
        ConversionError: ncnn does not run the network, or crashes on it.
    """
    if request.out is not None:
        require_pillow()
    images = [image for path in request.images for image in _read(path)]
    targets = [request.out / image.picture if request.out else None for image in images]
    check_targets([target for target in targets if target], request.images, force=request.force)
    # In a process of its own, so that a crash of ncnn is an error like any other.
    labels, spec, found = in_child(lambda: _detect(request, [image.pixels for image in images]), str(request.bundle))
    seen = tuple(
        Seen(image.name, image.pixels.shape[0], image.pixels.shape[1], one, target)
        for image, one, target in zip(images, found, targets, strict=True)
    )
    if request.out is not None:
        drawn = zip(targets, images, found, strict=True)
        write_all({target: draw(image.pixels, one, labels) for target, image, one in drawn if target}, request.out)
    return Report(labels, spec, seen)


def _detect(
    request: DetectRequest, images: Sequence[np.ndarray]
) -> tuple[tuple[str, ...], DetectorSpec, list[Detections]]:
    with Detector(
        request.bundle,
        precision=request.precision,
        mode=request.mode,
        threads=request.threads,
        score=request.score,
        iou=request.iou,
        across_classes=request.across_classes,
    ) as detector:
        return detector.labels, detector.spec, [detector.detect(pixels) for pixels in images]


def _read(path: Path) -> Iterator[_Image]:
    """The images of a file: `scene.jpg` is drawn into `scene.png`, `scenes.npy[3]` into `scenes-3.png`."""
    if not path.is_file():
        what = "this is a folder" if path.is_dir() else "there is no such file"
        raise UsageError(what, where=str(path), hint="name image files, .npy or .npz")
    if path.suffix.lower() not in ARRAYS:
        yield _Image(path.name, f"{path.stem}.png", _read_image(path))
        return
    for index, pixels in enumerate(read_pixels(path)):
        if pixels.shape[1] <= MAX_CHANNELS:  # one image, whose rows would pass for images
            raise InputRefusedError(
                f"its images would be {pixels.shape[1]} pixels wide",
                where=str(path),
                hint="the first axis counts images: save pixels[numpy.newaxis] for a single one",
            )
        yield _Image(f"{path.name}[{index}]", f"{path.stem}-{index}.png", pixels)


def _read_image(path: Path) -> np.ndarray:
    try:
        return read_image(path)
    except ImportError as error:
        raise UsageError(
            "this is an image file, and pillow is not installed",
            where=str(path),
            hint="pip install pillow, or give a .npy of uint8 pixels of the network's own size",
        ) from error
