"""The committed test images."""

from __future__ import annotations

import numpy as np
import pytest

from models import samples
from models.data import fashion


def test_there_are_128_images_with_labels():
    split = samples.load()
    assert split.images.shape == (128, 28, 28)
    assert split.images.dtype == np.uint8
    assert split.labels.shape == (128,)
    assert set(split.labels.tolist()) == set(range(10))


@pytest.mark.skipif(not fashion.DIRECTORY.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_they_are_the_first_of_the_test_split():
    expected = samples.first(fashion.load(fashion.DIRECTORY).test)
    assert np.array_equal(samples.load().images, expected.images)
    assert np.array_equal(samples.load().labels, expected.labels)
