"""Scenes through a detector: what a few steps learn, measured as the comparison measures it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dwca_export.detect.decode import anchor_grid, decode
from models import nets
from models.data import shapes, thin_objects
from models.detection import scenes as module
from models.detection.average_precision import mean_average_precision
from models.detection.loss import detection_loss, set_prior
from models.detection.matching import make_targets

CLASSES = len(thin_objects.CLASSES)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detection") / "shapes"
    shapes.write(folder, objects=11, scenes=8, seed=0)
    return thin_objects.load_scenes(folder, "train")


def detector(seed=0):
    torch.manual_seed(seed)
    return nets.detector(CLASSES, width=0.35, anchors=3, block="baseline")


def average_precision(network, scenes, spec):
    return mean_average_precision(module.predict(network.eval(), scenes.images, spec), module.truth(scenes), CLASSES)


def test_a_short_training_learns(train):
    spec, network = module.spec_for(train), detector()
    set_prior(network)
    targets = make_targets(*module.boxes_by_image(train), anchor_grid(spec, *train.images.shape[1:3]))
    inputs = torch.from_numpy(thin_objects.normalise(train.images))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    before = average_precision(network, train, spec)
    network.train()
    for _ in range(60):
        optimiser.zero_grad()
        detection_loss(network(inputs), targets, len(spec.anchors[0])).backward()
        optimiser.step()
    after = average_precision(network, train, spec)
    assert before < 0.05
    assert after > 0.25


def test_predictions_are_those_of_the_device_image_by_image(train):
    spec, network = module.spec_for(train), detector().eval()
    found = module.predict(network, train.images, spec, score=0.5)
    for index in range(len(train.images)):
        with torch.no_grad():
            maps = network(torch.from_numpy(thin_objects.normalise(train.images[index : index + 1])))
        single = decode([one.numpy() for one in maps], spec, 96, 96, score=0.5)
        mine = found.scene == index
        assert len(single.scores) == mine.sum() > 0
        assert found.scores[mine] == pytest.approx(single.scores, abs=1e-4)


def test_boxes_are_divided_among_the_images():
    images = np.zeros((4, 96, 96, 3), np.uint8)
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4)
    scene = np.array([1, 1, 3], np.int32)
    scenes = thin_objects.Scenes(images, boxes, np.array([5, 6, 7], np.uint8), scene, np.ones(3, np.float32))
    some, labels = module.boxes_by_image(scenes)
    assert [one.tolist() for one in labels] == [[], [5, 6], [], [7]]
    assert np.array_equal(some[1], boxes[:2])
    assert len(some) == 4


def test_the_spec_is_that_of_the_network(train):
    spec = module.spec_for(train)
    with torch.no_grad():
        maps = detector().eval()(torch.zeros(1, 3, spec.image_size, spec.image_size))
    spec.check_maps([one.shape for one in maps], CLASSES, (spec.image_size, spec.image_size))
