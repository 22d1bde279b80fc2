"""What is left of the accuracy on the device: `python -m models.experiment.after_export`, from the repository's root.

The trained networks of seed 0 go through the whole export; then the bundle's network answers the whole test part in
ncnn, with both weight files and in every mode, beside torch.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dwca_export.bench.machine import read_machine
from dwca_export.detect.decode import decode
from dwca_export.detect.spec import DetectorSpec
from dwca_export.errors import InputRefusedError
from dwca_export.pipeline import export
from dwca_export.request import ExportRequest
from dwca_export.runners.bundle import open_bundle
from dwca_export.runners.ncnn import MODES
from models.command import framed
from models.data import thin_objects
from models.detection import scenes as detection
from models.detection.average_precision import Boxes, mean_average_precision
from models.experiment import what
from models.experiment.json_file import json_text, write_json
from models.experiment.networks import trained
from models.experiment.one_run import RESULT, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from dwca_export.runners.ncnn import NcnnRunner

    Floats = npt.NDArray[np.float32]
    Document = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
FILE = "after_export.json"
VARIANTS = ("baseline", "dwca")
SEED = 0
WAYS = tuple((weights, mode) for weights in ("fp32", "fp16") for mode in (MODES if weights == "fp32" else ("fp32",)))
"""Weight file and mode of what is run: fp16 weights in fp32 arithmetic, and every mode with the full weights."""

_PROVEN = 8
_BATCH = 50
# Disagreements that are listed one by one.
_LISTED = 5

Maps = list[list["Floats"]]


@dataclass(frozen=True)
class Subject:
    """A trained network and the test part.

    Attributes:
        weights: Its `weights.pt`.
        images: uint8 `(N, H, W, 3)`.
    """

    weights: Path
    images: npt.NDArray[np.uint8]


def answers(subject: Subject) -> tuple[Maps, Iterator[tuple[str, str, Maps]]]:
    """Run torch and, one after the other, every way of running the exported network.

    Args:
        subject: The network and its images.

    Returns:
        Torch's outputs, and for each way its weight file, its mode and its outputs: per image one array per output,
        batch axis included.

    Raises:
        ParityError: The exported network does not compute the same.
        ConversionError: It cannot be exported, or fails.
    """
    return _torch(subject), _ways(subject)


def _torch(subject: Subject) -> Maps:
    network, _ = trained(subject.weights)
    found: Maps = []
    with torch.no_grad():
        for start in range(0, len(subject.images), _BATCH):
            images = thin_objects.normalise(subject.images[start : start + _BATCH])
            outputs = network(torch.from_numpy(images))
            maps = [one.numpy() for one in (outputs if isinstance(outputs, tuple) else (outputs,))]
            found += [[one[index : index + 1] for one in maps] for index in range(len(images))]
    return found


def _ways(subject: Subject) -> Iterator[tuple[str, str, Maps]]:
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder, "samples.npy")
        np.save(samples, thin_objects.normalise(subject.images[:: max(1, len(subject.images) // _PROVEN)][:_PROVEN]))
        _, content = trained(subject.weights)
        request = ExportRequest(
            subject.weights,
            Path(folder, "bundle"),
            arch=str(ROOT / content.arch),
            precisions=("fp32", "fp16"),
            images=samples,
            samples=_PROVEN,
        )
        bundle = export(request).bundle
        for weights, mode in WAYS:
            with open_bundle(bundle, precision=weights, mode=mode) as runner:
                yield weights, mode, [_infer(runner, image) for image in subject.images]


def _infer(runner: NcnnRunner, image: npt.NDArray[np.uint8]) -> list[Floats]:
    outputs = runner.infer({runner.inputs[0].name: thin_objects.normalise(image[None])})
    return list(outputs.values())


def classifier(subject: Subject, labels: npt.NDArray[np.integer[Any]]) -> Document:
    """Compare a classifier's answers.

    Args:
        subject: The network and its images.
        labels: `(N,)`.

    Raises:
        DwcaExportError: As `answers`.
    """
    reference, ways = answers(subject)
    logits = _logits(reference)
    rows = _rows(ways, lambda found: agreement(_logits(found), logits, labels))
    accuracy = float((logits.argmax(1) == labels).mean())
    return {"images": len(labels), "torch_accuracy": accuracy, "ways": rows}


def agreement(found: Floats, reference: Floats, labels: npt.NDArray[np.integer[Any]]) -> Document:
    """Compare logits with those of torch.

    Args:
        found: `(N, K)`.
        reference: `(N, K)`.
        labels: `(N,)`.

    Returns:
        Accuracy, images that are answered alike, and of those that are not the margins: by how much torch's highest
        logit exceeds its second highest, which is how sure it was.

    Raises:
        InputRefusedError: A logit is no number.
    """
    if not np.isfinite(found).all():
        raise InputRefusedError("ncnn's logits hold what is no number", where="after export")
    said, expected = found.argmax(1), reference.argmax(1)
    highest = np.sort(reference, axis=1)
    margins = (highest[:, -1] - highest[:, -2]).astype(np.float64)
    other = np.flatnonzero(said != expected)
    listed = other[np.argsort(-margins[other], kind="stable")][:_LISTED]
    return {
        "accuracy": float((said == labels).mean()),
        "agree": int((said == expected).sum()),
        "largest_error": _short(np.abs(found - reference).max()),
        "largest_margin": _short(margins[other].max()) if len(other) else None,
        "median_margin": _short(np.median(margins)),
        "disagreements": [
            {
                "image": int(index),
                "label": int(labels[index]),
                "torch": int(expected[index]),
                "ncnn": int(said[index]),
                "margin": _short(margins[index]),
            }
            for index in listed
        ],
    }


def detector(subject: Subject, test: thin_objects.Scenes) -> Document:
    """Compare a detector's raw maps, and what they come to.

    Args:
        subject: The network and its images.
        test: The test part.

    Raises:
        DwcaExportError: As `answers`.
    """
    _, content = trained(subject.weights)
    spec = DetectorSpec.from_document(content.extras.get("detection"))
    reference, ways = answers(subject)
    truth = detection.truth(test)
    side = test.images.shape[1]

    def precision(maps: Maps) -> float:
        found = Boxes.of([decode(one, spec, side, side, score=detection.LOWEST_SCORE) for one in maps])
        return mean_average_precision(found, truth, len(thin_objects.CLASSES))

    def measure(found: Maps) -> Document:
        both = zip(found, reference, strict=True)
        pairs = [pair for ours, theirs in both for pair in zip(ours, theirs, strict=True)]
        errors = [np.linalg.norm((a - b).ravel()) / np.linalg.norm(b.ravel()) for a, b in pairs]
        return {"map50": precision(found), "largest_relative_l2": _short(max(errors))}

    rows = _rows(ways, measure)
    return {"images": len(test.images), "torch_map50": precision(reference), "ways": rows}


def _rows(ways: Iterator[tuple[str, str, Maps]], measure: Callable[[Maps], Document]) -> list[Document]:
    """Measure each way; name the mode whose every bit is the same, where kernels of its own are missing."""
    seen: dict[str, str] = {}
    rows = []
    for weights, mode, found in ways:
        digest = hashlib.sha256(b"".join(one.tobytes() for maps in found for one in maps)).hexdigest()
        rows.append({"weights": weights, "mode": mode, "same_bits_as": seen.get(digest), **measure(found)})
        seen.setdefault(digest, mode)
    return rows


def document(runs: Path, data: Path | None) -> Document:
    """Compare all exported networks.

    Args:
        runs: Folder of all runs; of each task and variant that is there, seed 0 is taken.
        data: Folder of the data; None: its default place.

    Returns:
        What goes into `after_export.json`.

    Raises:
        InputRefusedError: There is no finished run, or the data cannot be read.
        DwcaExportError: As `answers`.
    """
    objects, scenes = thin_objects.load_objects(data, "test"), thin_objects.load_scenes(data, "test")
    measured: dict[str, Callable[[Path], Document]] = {
        "objects": lambda weights: classifier(Subject(weights, objects.images), objects.labels),
        "scenes": lambda weights: detector(Subject(weights, scenes.images), scenes),
    }
    found = {task: _variants(task, runs, measure) for task, measure in measured.items()}
    if not any(found.values()):
        raise InputRefusedError("there is no finished run of seed 0", where=str(runs), hint="train the networks first")
    machine = read_machine()
    return {"schema": 1, "machine": machine.cpu, "ncnn": machine.ncnn, "seed": SEED, **found}


def _variants(task: str, runs: Path, measure: Callable[[Path], Document]) -> Document:
    folders = {name: what.Run(task, name, SEED).folder(runs) for name in VARIANTS}
    return {
        name: {"weights_sha256": thin_objects.file_sha256(folder / WEIGHTS), **measure(folder / WEIGHTS)}
        for name, folder in folders.items()
        if (folder / RESULT).exists()
    }


def _logits(found: Maps) -> Floats:
    return np.concatenate([maps[0] for maps in found])


def _short(value: Any) -> float:
    return float(f"{float(value):.4g}")


@framed
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0, 130 after an interruption, else that of the error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m models.experiment.after_export", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (%(default)s)")
    parser.add_argument("--data", type=Path, help="folder of the thin objects; by default where they are built")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    content = document(options.runs, options.data)
    write_json(content, options.runs / FILE)
    print(json_text(content), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
