from __future__ import annotations

import shutil
from collections import Counter

import numpy as np
import pytest

from dwca_export.errors import InputRefusedError
from models.data import backgrounds
from models.data.thin_objects import PARTS


@pytest.fixture(scope="module")
def photographs():
    return backgrounds.load()


@pytest.fixture
def folder(tmp_path):
    """A copy of the photographs to damage."""
    for photograph in backgrounds.PHOTOGRAPHS:
        shutil.copy(backgrounds._installed() / photograph.file, tmp_path)
    return tmp_path


def test_every_part_has_photographs_of_its_own(photographs):
    assert set(photographs) == set(PARTS)
    assert max(Counter(photograph.sha256 for photograph in backgrounds.PHOTOGRAPHS).values()) == 1
    assert all(image.ndim == 3 and image.dtype == np.uint8 for part in photographs.values() for image in part)


def test_a_changed_photograph_is_refused(folder):
    file = folder / "coffee.png"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(InputRefusedError, match="SHA-256") as caught:
        backgrounds.load(folder)
    assert caught.value.where == str(file)


def test_an_absent_photograph_is_refused(folder):
    (folder / "coffee.png").unlink()
    with pytest.raises(InputRefusedError, match="cannot be read"):
        backgrounds.load(folder)


def test_backgrounds_depend_on_the_generator_alone(photographs, part):
    def some(seed):
        return [
            backgrounds.background(64, photographs[part], np.random.default_rng((seed, number))) for number in range(20)
        ]

    np.testing.assert_array_equal(some(0), some(0))
    assert not np.array_equal(some(0), some(1))


@pytest.mark.parametrize("side", [64, 96])
def test_backgrounds_are_of_the_asked_size_and_range(photographs, side):
    for number in range(30):
        pixels = backgrounds.background(side, photographs["train"], np.random.default_rng(number))
        assert pixels.shape == (side, side, 3)
        assert 0 <= pixels.min() <= pixels.max() <= 255


def test_a_photograph_smaller_than_the_crop_is_used_whole():
    photograph = np.full((40, 30, 3), 100, np.uint8)
    for number in range(10):
        assert backgrounds.background(64, [photograph], np.random.default_rng(number)).shape == (64, 64, 3)
