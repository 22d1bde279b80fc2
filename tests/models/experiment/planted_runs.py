"""Run folders with planted outcomes, in the format of real ones."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np

from models.data import fashion, shapes, thin_objects
from models.experiment import what
from models.experiment.one_run import PREDICTIONS, RESULT

IMAGES = 660


def build_data(folder, images=IMAGES):
    """A drawn set whose test part has this many objects, of three drawings per class."""
    shapes.write(folder, objects=2 * images, scenes=24)
    return folder


def plant(runs, run, arrays, metrics, dataset, **more):
    """One finished run."""
    folder = run.folder(runs)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / PREDICTIONS, **arrays)
    result = {"schema": 1, "task": run.task, "variant": run.variant, "seed": run.seed, "dataset": dataset}
    result |= {"recipe": asdict(what.recipe_of(run)), "parameters": 1000, "metrics": metrics, **more}
    (folder / RESULT).write_text(json.dumps(result))
    return folder


def answers(labels, accuracy, classes, seed):
    """Logits that are right at this rate; images that are hard are hard for every network."""
    hardness = np.random.default_rng(123).random(len(labels))
    noise = np.random.default_rng(seed).normal(0, 0.02, len(labels))
    right = hardness + noise < accuracy
    said = np.where(right, labels, (labels + 1) % classes)
    return np.eye(classes, dtype=np.float32)[said]


def plant_classifiers(runs, task, labels, classes, accuracies, dataset, seeds=range(5)):
    """Runs of several variants; the accuracy of each differs a little from seed to seed."""
    for number, (variant, accuracy) in enumerate(accuracies.items()):
        for seed in seeds:
            scatter = 0.004 * ((seed * 7 + number * 3) % 5 - 2)
            logits = answers(labels, accuracy + scatter, len(classes), 1000 * number + seed)
            right = logits.argmax(1) == labels
            per_class = {name: float(right[labels == index].mean()) for index, name in enumerate(classes)}
            metrics = {"test_accuracy": float(np.mean(list(per_class.values()))), "per_class": per_class}
            plant(runs, what.Run(task, variant, seed), {"logits": logits, "labels": labels}, metrics, dataset)


def plant_objects(runs, data, accuracies, seeds=range(5)):
    """Runs of the objects task."""
    test = thin_objects.load_objects(data, "test")
    dataset = {"name": "generated-shapes", "sha256": thin_objects.dataset_sha256(data)}
    plant_classifiers(runs, "objects", test.labels, thin_objects.CLASSES, accuracies, dataset, seeds)


def plant_fashion(runs, accuracies, seeds=range(5)):
    """Runs of the Fashion-MNIST task, on few images."""
    labels = (np.arange(500) % 10).astype(np.uint8)
    dataset = {"name": "Fashion-MNIST", "sha256": "0" * 64}
    plant_classifiers(runs, "fashion", labels, fashion.LABELS, accuracies, dataset, seeds)


def plant_scenes(runs, data, missed, seeds=range(5)):
    """Detectors that miss every so manieth object, and find the others exactly."""
    from models.detection.average_precision import Boxes, mean_average_precision
    from models.detection.scenes import truth

    test = thin_objects.load_scenes(data, "test")
    dataset = {"name": "generated-shapes", "sha256": thin_objects.dataset_sha256(data)}
    for variant, every in missed.items():
        for seed in seeds:
            kept = (np.arange(len(test.labels)) + seed) % every != 0
            scores = np.linspace(0.9, 0.5, len(test.labels), dtype=np.float32)[kept]
            boxes = Boxes(test.boxes[kept], test.labels[kept], test.scene[kept], scores)
            value = mean_average_precision(boxes, truth(test), len(thin_objects.CLASSES))
            arrays = {"boxes": boxes.boxes, "labels": boxes.labels, "scene": boxes.scene, "scores": boxes.scores}
            plant(runs, what.Run("scenes", variant, seed), arrays, {"test_map50": value}, dataset)
