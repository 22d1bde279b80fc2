from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from models.data.near_duplicates import BITS, MOST_BITS, distance, perceptual_hash, removals
from models.data.render import LENGTH, Drawing


def drawing(seed, height=80):
    """A lying object with an uneven outline."""
    generator = np.random.default_rng(seed)
    knots = generator.uniform(0.15, 1, (2, 9))
    half = [np.interp(np.arange(LENGTH), np.linspace(0, LENGTH - 1, 9), side) * height / 2 for side in knots]
    rows = np.arange(height)[:, None] - (height - 1) / 2
    return of((rows > -half[0]) & (rows < half[1]))


def of(mask):
    image = np.zeros((*mask.shape, 4), np.uint8)
    image[:, :, 3] = mask * 255
    return Drawing(image, image[:, :, 3], False)


def alpha(shape):
    return shape.image[:, :, 3] > 127


LYING = [lambda a: a, lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a[::-1, ::-1]]


@pytest.mark.parametrize("way", LYING)
def test_a_copy_is_found_however_it_lies(way):
    original = drawing(1)
    assert distance(perceptual_hash(original), perceptual_hash(of(way(alpha(original))))) == 0


def test_a_copy_with_changed_lines_is_found():
    original = drawing(1)
    image = Image.fromarray(original.image[:, :, 3]).resize((LENGTH // 3, 30)).resize((LENGTH, 84))
    assert distance(perceptual_hash(original), perceptual_hash(of(np.asarray(image) > 150))) <= MOST_BITS


def test_other_drawings_are_left_alone():
    hashes = [perceptual_hash(drawing(seed)) for seed in range(12)]
    distances = [distance(hashes[i], hashes[j]) for i in range(12) for j in range(i)]
    assert min(distances) > MOST_BITS


def test_a_more_slender_drawing_is_another():
    one, other = of(np.ones((40, LENGTH), bool)), of(np.ones((80, LENGTH), bool))
    assert distance(perceptual_hash(one), perceptual_hash(other)) == BITS


def test_distance_is_the_same_from_either_side():
    hashes = [perceptual_hash(drawing(seed)) for seed in range(6)]
    assert all(distance(a, b) == distance(b, a) for a in hashes for b in hashes)


def test_the_earlier_of_two_vendors_keeps_a_drawing():
    hashes = [perceptual_hash(drawing(seed)) for seed in (1, 2, 1)]
    vendors = ["Mill", "Mill", "Quay"]
    assert removals(hashes, vendors, [0, 1, 2]) == {2: (0, 0)}
    assert removals(hashes, vendors, [2, 1, 0]) == {0: (2, 0)}


def test_a_vendor_may_draw_the_same_twice():
    hashes = [perceptual_hash(drawing(1))] * 3
    assert removals(hashes, ["Mill", "Mill", "Mill"], [0, 1, 2]) == {}


def test_what_is_removed_removes_nothing_itself():
    hashes = [perceptual_hash(drawing(1))] * 3
    removed = removals(hashes, ["Mill", "Quay", "Mill"], [0, 1, 2])
    assert removed == {1: (0, 0)}
