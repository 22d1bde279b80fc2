"""What the card of a trained network says: its data, what it was measured to do, how to feed it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.detect.spec import DetectorSpec
from dwca_export.errors import InputRefusedError
from models import samples
from models.classification import Normalisation, class_metrics, logits_of
from models.data import fashion, thin_objects
from models.detection import scenes as detection
from models.detection.average_precision import MISSED, Boxes, average_precisions, find

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt
    from torch import nn

    from models.checkpoint import Checkpoint

FASHION_SHAPE = (1, 1, fashion.SIDE, fashion.SIDE)
OBJECTS_SHAPE = (1, 3, thin_objects.OBJECT_SIDE, thin_objects.OBJECT_SIDE)
SCENES_SHAPE = (1, 3, thin_objects.SCENE_SIDE, thin_objects.SCENE_SIDE)
_DIGITS = 4
_RENDERED = "rendered drawings on photographs, no photographs of the objects"


@dataclass(frozen=True)
class Facts:
    """What a card says of the task that a network was trained for.

    Attributes:
        task: In words.
        data: The data set.
        metrics: Measured on its test part.
        input: Shape and preprocessing, as `dwca-export` reads them.
        samples: File of the sample images, beside the card.
        labels: Names of the classes.
        more: Further blocks: `detection`.
        predictions: What the metrics were computed from: logits `(N, classes)`, or the boxes of a detector.
    """

    task: str
    data: Mapping[str, Any]
    metrics: Mapping[str, Any]
    input: Mapping[str, Any]
    samples: str
    labels: tuple[str, ...]
    more: Mapping[str, Any] = field(default_factory=dict)
    predictions: Boxes | npt.NDArray[np.float32] | None = field(default=None, repr=False, compare=False)


def card(name: str, checkpoint: Checkpoint, content: bytes, recipe: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """Put a card together.

    Args:
        name: Of the network in the zoo.
        checkpoint: What the file holds.
        content: The bytes of the file.
        recipe: How it was trained.
        facts: The rest.

    Returns:
        A document for JSON.
    """
    return {
        "name": name,
        "task": facts.task,
        "arch": checkpoint.arch,
        "arch_args": dict(checkpoint.arch_args),
        "parameters": sum(parameter.numel() for parameter in checkpoint.network().parameters()),
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Apache-2.0",
        "data": dict(facts.data),
        "recipe": dict(recipe),
        "metrics": dict(facts.metrics),
        "input": dict(facts.input),
        "samples": facts.samples,
        "labels": list(facts.labels),
        **facts.more,
    }


def fashion_facts(network: nn.Module, dataset: fashion.FashionMnist) -> Facts:
    """Measure a classifier of Fashion-MNIST.

    Args:
        network: In evaluation mode.
        dataset: Both splits.
    """
    test = dataset.test
    normalisation = Normalisation((fashion.MEAN,), (fashion.STD,))
    logits = logits_of(network, test.images[..., np.newaxis], normalisation)
    correct = logits.argmax(1) == test.labels
    metrics = {
        "test_accuracy": round(float(correct.mean()), _DIGITS),
        "test_correct": int(correct.sum()),
        "samples_correct": int(correct[: samples.COUNT].sum()),
    }
    data = {
        "name": "Fashion-MNIST",
        "licence": "MIT",
        "source": "https://github.com/zalandoresearch/fashion-mnist, Debian package dataset-fashion-mnist",
        "train_images": len(dataset.train.images),
        "test_images": len(test.images),
    }
    given = _input(FASHION_SHAPE, (fashion.MEAN,), (fashion.STD,), "grayscale")
    return Facts("image classification", data, metrics, given, samples.FASHION, fashion.LABELS, predictions=logits)


def objects_facts(network: nn.Module, directory: Path | None) -> Facts:
    """Measure a classifier of thin objects.

    Args:
        network: In evaluation mode.
        directory: Folder of the built set; None for the usual one.

    Raises:
        InputRefusedError: The set is absent or damaged.
    """
    test = thin_objects.load_objects(directory, "test")
    logits = logits_of(network, test.images, Normalisation(thin_objects.MEAN, thin_objects.STD))
    correct = logits.argmax(1) == test.labels
    measured = class_metrics(logits, test.labels, thin_objects.CLASSES)
    metrics = {
        "test_accuracy": round(measured["test_accuracy"], _DIGITS),
        "test_correct": int(correct.sum()),
        "test_accuracy_per_class": {label: round(share, _DIGITS) for label, share in measured["per_class"].items()},
        "samples_correct": int(correct[samples.spread(len(correct))].sum()),
    }
    return Facts(
        "image classification",
        _thin_data(directory, "objects"),
        metrics,
        _thin_input(OBJECTS_SHAPE),
        samples.OBJECTS,
        thin_objects.CLASSES,
        predictions=logits,
    )


def scenes_facts(network: nn.Module, directory: Path | None, document: object) -> Facts:
    """Measure a detector of thin objects.

    Args:
        network: In evaluation mode.
        directory: Folder of the built set; None for the usual one.
        document: What its checkpoint says under `detection`.

    Raises:
        InputRefusedError: The set is absent or damaged, or `document` cannot be read.
    """
    spec = DetectorSpec.from_document(document)
    test = thin_objects.load_scenes(directory, "test")
    detected = detection.predict(network, test.images, spec)
    precisions = average_precisions(detected, detection.truth(test), len(thin_objects.CLASSES))
    metrics = {
        "test_map50": round(float(np.nanmean(precisions)), _DIGITS),
        "test_ap50_per_class": {
            label: None if math.isnan(value) else round(float(value), _DIGITS)
            for label, value in zip(thin_objects.CLASSES, precisions, strict=True)
        },
        **samples_found(network, samples.pick_scenes(test), spec),
    }
    return Facts(
        "object detection",
        _thin_data(directory, "scenes"),
        metrics,
        _thin_input(SCENES_SHAPE),
        samples.SCENES,
        thin_objects.CLASSES,
        {"detection": spec.document()},
        detected,
    )


def samples_found(network: nn.Module, scenes: thin_objects.Scenes, spec: DetectorSpec) -> dict[str, int]:
    """Count what a detector finds in its sample images, at the score from which it shows boxes.

    Returns:
        `samples_boxes`: the true boxes; `samples_found`: how many of them it finds, overlapping by half at least, with
        the right class; `samples_false`: how many boxes of its own are wrong.
    """
    shown = detection.predict(network, scenes.images, spec, spec.score_threshold)
    found = int((find(shown, detection.truth(scenes)) != MISSED).sum())
    return {
        "samples_boxes": len(scenes.labels),
        "samples_found": found,
        "samples_false": len(shown.scores) - found,
    }


def _thin_input(shape: tuple[int, ...]) -> dict[str, Any]:
    return _input(shape, thin_objects.MEAN, thin_objects.STD, "RGB")


def _input(shape: tuple[int, ...], mean: tuple[float, ...], std: tuple[float, ...], channels: str) -> dict[str, Any]:
    return {"shape": list(shape), "range": [0, 1], "mean": list(mean), "std": list(std), "channels": channels}


def _thin_data(directory: Path | None, kind: str) -> dict[str, Any]:
    description = thin_objects.describe(directory)
    real = description["name"] == thin_objects.NAMES[0]
    parts = description["parts"]
    return {
        "name": description["name"],
        "what": _RENDERED if real else "drawn polygons",
        "source": "python -m models.data.build" if real else "python -m models.data.shapes",
        "packages": description["packages"],
        "licence": licences(description["credits"]),
        "credits": samples.CREDITS,
        "sha256": thin_objects.dataset_sha256(directory),
        **{f"{part}_images": parts[part][kind] for part in thin_objects.PARTS},
    }


def licences(credited: object) -> str:
    """Summarise the licences of what a data set was made from.

    Args:
        credited: `credits` of `dataset.json`: icon sets with a `licence`, photographs with a `credit` that ends so.

    Returns:
        Such as `icon sets: Apache-2.0 (3), MIT (20); photographs: CC0-1.0 (7)`; `none` of nothing.

    Raises:
        InputRefusedError: One names no licence.
    """
    entries = credited if isinstance(credited, list) else [credited]
    counted: dict[str, Counter[str]] = {}
    for entry in entries:
        kind, licence = _licence(entry) if isinstance(entry, dict) else ("", "")
        if not licence:
            raise InputRefusedError(
                "something in it is credited without a licence", where="dataset.json", hint="build the data set again"
            )
        counted.setdefault(kind, Counter())[licence] += 1
    named = {
        kind: ", ".join(f"{name} ({count})" for name, count in sorted(one.items())) for kind, one in counted.items()
    }
    return "; ".join(f"{kind}: {text}" for kind, text in named.items()) or "none"


def _licence(entry: Mapping[str, Any]) -> tuple[str, str]:
    if "credit" in entry:
        return "photographs", str(entry["credit"]).rpartition("; ")[2]
    named = entry.get("licence")
    return "icon sets", named if isinstance(named, str) else ""
