from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dwca_export.detect.decode import anchor_grid, decode, flatten
from dwca_export.detect.spec import DetectorSpec
from models import nets
from models.detection import loss as module
from models.detection.loss import detection_loss, set_prior
from models.detection.matching import BACKGROUND, IGNORED, Targets, make_targets

SPEC = DetectorSpec((4, 8), (((12.0, 6.0), (6.0, 12.0)), ((24.0, 12.0), (12.0, 24.0))), 0.3, 0.5, 16)
CLASSES, IMAGES = 3, 2
GRID = anchor_grid(SPEC, 16, 16)
BOXES = [np.array([[2, 3, 14, 9]], np.float32), np.array([[1, 1, 7, 13], [8, 2, 15, 14]], np.float32)]
LABELS = [np.array([1]), np.array([0, 2])]


def maps(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(IMAGES, 2 * values, side, side) for side in (4, 2) for values in (CLASSES, 4)]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def targets():
    return make_targets(BOXES, LABELS, GRID)


def naive_loss(some, wanted):
    """The formulas, one number at a time."""
    total = count = 0.0
    for image in range(IMAGES):
        rows = flatten([one.detach().numpy()[image : image + 1] for one in some], SPEC)
        for logits, regressions, label, aim in zip(
            *rows, wanted.classes[image], wanted.regressions[image], strict=True
        ):
            if label == IGNORED:
                continue
            for index, logit in enumerate(logits):
                right = 1 / (1 + math.exp(-logit)) if index == label else 1 / (1 + math.exp(logit))
                weight = module.POSITIVE_WEIGHT if index == label else 1 - module.POSITIVE_WEIGHT
                total -= weight * (1 - right) ** module.FOCUS * math.log(right)
            if label >= 0:
                count += 1
                for off in np.abs(regressions - aim):
                    small = off < module.SMOOTHNESS
                    total += off**2 / 2 / module.SMOOTHNESS if small else off - module.SMOOTHNESS / 2
    return total / count


def test_the_loss_is_that_of_the_naive_loops():
    """It holds the order of torch's rows to the order that the device decodes, too."""
    wanted = targets()
    wanted.classes[0, :3] = IGNORED
    for seed in range(3):
        assert detection_loss(maps(seed), wanted, 2).item() == pytest.approx(naive_loss(maps(seed), wanted), rel=1e-4)


def test_maps_in_another_order_have_another_loss():
    some = maps()
    rolled = [one.roll(1, dims=1) for one in some]
    assert detection_loss(rolled, targets(), 2).item() != pytest.approx(naive_loss(some, targets()), rel=1e-2)


def test_ignored_anchors_have_no_gradient():
    some, wanted = maps(), targets()
    wanted.classes[:] = IGNORED
    detection_loss(some, wanted, 2).backward()
    assert all(not one.grad.any() for one in some)


def test_nothing_to_find_is_a_finite_loss():
    empty = Targets(np.full((IMAGES, len(GRID)), BACKGROUND), np.zeros((IMAGES, len(GRID), 4), np.float32))
    assert 0 < detection_loss(maps(), empty, 2).item() < math.inf


def test_maps_that_are_right_have_almost_no_loss_and_decode_to_the_boxes():
    wanted = targets()
    aims = np.zeros((IMAGES, len(GRID), CLASSES + 4), np.float32)
    aims[..., :CLASSES] = -20
    for image, row in zip(*np.nonzero(wanted.classes >= 0), strict=True):
        aims[image, row, wanted.classes[image, row]] = 20
        aims[image, row, CLASSES:] = wanted.regressions[image, row]
    perfect = []
    for start, side in ((0, 4), (32, 2)):
        part = aims[:, start : start + 2 * side * side].reshape(IMAGES, 2, side * side, -1).swapaxes(2, 3)
        halves = (part[:, :, :CLASSES], part[:, :, CLASSES:])
        perfect += [torch.tensor(values.reshape(IMAGES, -1, side, side)) for values in halves]
    assert detection_loss(perfect, wanted, 2).item() < 1e-6
    for image in range(IMAGES):
        found = decode([one.numpy()[image : image + 1] for one in perfect], SPEC, 16, 16)
        order = np.argsort(found.labels)
        assert found.labels[order].tolist() == sorted(LABELS[image].tolist())
        assert found.boxes[order] == pytest.approx(BOXES[image][np.argsort(LABELS[image])], abs=1e-3)


def test_a_new_detector_calls_everything_background():
    torch.manual_seed(0)
    network = nets.detector(num_classes=CLASSES, width=0.25, anchors=2)
    set_prior(network)
    with torch.no_grad():
        logits = network.eval()(torch.randn(1, 3, 64, 64))[0]
    assert logits.sigmoid().mean().item() == pytest.approx(module.PRIOR, rel=0.5)
