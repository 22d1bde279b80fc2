"""Classification as a task: its inputs, and what its logits come to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dwca_export.errors import InputRefusedError, UsageError
from models.classification import ClassificationTask, Normalisation, class_metrics, logits_of
from models.data import fashion, thin_objects
from models.experiment.tasks import fashion as fashion_task
from models.experiment.tasks import objects as objects_task
from models.nets import classifier
from models.recipe import Recipe


@pytest.mark.parametrize(
    ("ours", "theirs", "channels"),
    [
        (objects_task.NORMALISATION, thin_objects.normalise, 3),
        (fashion_task.NORMALISATION, lambda images: fashion.normalise(images[..., 0]), 1),
    ],
)
def test_inputs_are_those_that_the_exported_network_takes(ours, theirs, channels):
    images = np.random.default_rng(0).integers(0, 256, (3, 7, 9, channels), np.uint8)
    np.testing.assert_allclose(ours.apply(torch.tensor(images)).numpy(), theirs(images), rtol=0, atol=1e-6)


def test_inputs_are_in_channels_last_layout():
    inputs = Normalisation((0.5,) * 3, (0.25,) * 3).apply(torch.zeros(2, 8, 8, 3, dtype=torch.uint8))
    assert inputs.is_contiguous(memory_format=torch.channels_last)


def test_every_class_counts_alike():
    logits = np.eye(3, dtype=np.float32)[[0, 0, 0, 0, 1, 0]]
    labels = np.array([0, 0, 0, 0, 1, 2], np.uint8)
    metrics = class_metrics(logits, labels, ("a", "b", "c"))
    assert metrics == {"test_accuracy": pytest.approx(2 / 3), "per_class": {"a": 1.0, "b": 1.0, "c": 0.0}}


def test_a_class_without_images_is_refused():
    with pytest.raises(InputRefusedError, match="no test image of b"):
        class_metrics(np.zeros((1, 2), np.float32), np.zeros(1, np.uint8), ("a", "b"))


def test_images_that_do_not_fit_the_labels_are_refused():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    for bad in (images[:3], images[..., 0]):
        with pytest.raises(InputRefusedError, match="do not fit each other"):
            ClassificationTask(bad, np.zeros(4, np.uint8), Normalisation((0,), (1,)), repeat_border=True)


def test_a_shift_beyond_the_image_is_refused():
    task = ClassificationTask(
        np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.uint8), Normalisation((0,), (1,)), repeat_border=True
    )
    with pytest.raises(UsageError, match="shift=8 cannot be"):
        task.batch(torch.arange(4), Recipe(shift=8), torch.Generator())


def test_logits_do_not_depend_on_how_the_images_are_divided():
    network = classifier(num_classes=3, in_channels=1, width=0.25).eval()
    images = np.random.default_rng(0).integers(0, 256, (300, 16, 16, 1), np.uint8)
    normalisation = Normalisation((0.5,), (0.25,))
    whole = logits_of(network, images, normalisation)
    assert whole.shape == (300, 3)
    np.testing.assert_allclose(logits_of(network, images[290:], normalisation), whole[290:], rtol=1e-4, atol=1e-5)
