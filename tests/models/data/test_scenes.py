from __future__ import annotations

import numpy as np
import pytest

from models.data import objects, scenes
from models.data.render import LENGTH, Drawing

GREY = (np.full((120, 160, 3), 128, np.uint8),)


@pytest.fixture
def bar():
    """A black bar, a fifth as wide as long."""
    image = np.zeros((LENGTH // 5, LENGTH, 4), np.uint8)
    image[:, :, 3] = 255
    return Drawing(image, image[:, :, 3], False)


def frame(width):
    """The outline of a bar, with lines of that width."""
    image = np.zeros((60, LENGTH, 4), np.uint8)
    image[:, :, 3] = 255
    image[width:-width, width:-width, 3] = 0
    return Drawing(image, np.full((60, LENGTH), 255, np.uint8), False)


def placed(drawing, length, seed=0, centre=(32.3, 31.8)):
    image = objects.coloured(drawing, np.full(3, 128.0), np.random.default_rng(seed))
    return objects.placed(image, length, np.array(centre), np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("length", [8.0, 17.5, 40.0])
def test_an_object_has_the_length_and_the_place_that_are_asked_for(bar, length, seed):
    patch = placed(bar, length, seed)
    coverage = patch.pixels[:, :, 3]
    ys, xs = np.mgrid[: coverage.shape[0], : coverage.shape[1]] + 0.5
    weights = coverage.ravel() / coverage.sum()
    points = np.stack((xs.ravel() + patch.x, ys.ravel() + patch.y))
    np.testing.assert_allclose(points @ weights, (32.3, 31.8), atol=0.2)
    # A bar of length L has the variance L^2 / 12 along itself, and each pixel adds 1/12.
    spread = np.linalg.eigvalsh(np.cov(points, aweights=weights, bias=True))[-1]
    assert np.sqrt(spread * 12) == pytest.approx(np.hypot(length, 1), rel=0.06)


@pytest.mark.parametrize("seed", range(8))
def test_the_box_is_as_tight_as_pixels_allow(bar, seed):
    patch = placed(bar, 30, seed)
    rows = np.flatnonzero((patch.pixels[:, :, 3] > 0.05).any(1)) + patch.y
    columns = np.flatnonzero((patch.pixels[:, :, 3] > 0.05).any(0)) + patch.x
    np.testing.assert_allclose(patch.box, (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), atol=1)


def test_colour_stands_out_from_any_background(bar):
    for seed in range(60):
        generator = np.random.default_rng(seed)
        ground = generator.uniform(0, 255, 3)
        colour = np.asarray(objects.coloured(bar, ground, generator))[10, 100, :3]
        luma = np.array((0.299, 0.587, 0.114))
        # Colours are cut off at black and white, which takes some of the contrast.
        assert abs((colour - ground) @ luma) > 60


def test_own_colours_are_shifted_and_not_replaced(bar):
    image = bar.image.copy()
    image[:, :128, 0], image[:, 128:, 0] = 100, 140
    drawing = Drawing(image, bar.silhouette, True)
    for seed in range(20):
        result = np.asarray(objects.coloured(drawing, np.full(3, 120.0), np.random.default_rng(seed)))
        cut_off = result[5, :, 0].max() == 255 or result[5, :, 0].min() == 0
        assert int(result[5, 200, 0]) - int(result[5, 10, 0]) == 40 or cut_off


def test_lines_grow_outwards_and_shrink():
    covered = set()
    for seed in range(40):
        drawing = objects.thickened(frame(12), np.random.default_rng(seed))
        covered.add(int((drawing.image[:, :, 3] == 255).sum()))
        assert drawing.image.shape[:2] == drawing.silhouette.shape
    untouched = int((frame(12).image[:, :, 3] == 255).sum())
    assert min(covered) < untouched < max(covered)


def test_the_lines_spread_as_a_naive_maximum_does():
    alpha = np.random.default_rng(0).integers(0, 256, (9, 13), np.uint8)
    for change, pick in ((2, np.max), (-1, np.min)):
        n = abs(change)
        naive = [
            [pick(alpha[max(0, y - n) : y + n + 1, max(0, x - n) : x + n + 1]) for x in range(13)] for y in range(9)
        ]
        np.testing.assert_array_equal(objects._spread(alpha, change), naive)


def test_hairlines_are_not_thinned_away():
    for seed in range(40):
        drawing = objects.thickened(frame(2), np.random.default_rng(seed))
        assert drawing.image[:, :, 3].any()


@pytest.mark.parametrize("corner", [(-5, -5), (60, 60), (-5, 60)])
def test_what_leaves_the_image_is_cut_off(corner):
    canvas = np.zeros((64, 64, 3))
    pixels = np.full((10, 10, 4), 200.0)
    pixels[:, :, 3] = 1
    objects.lay_over(canvas, objects.Patch(pixels, *corner, np.zeros(4)))
    x, y = corner
    assert (canvas[max(y, 0) : min(y + 10, 64), max(x, 0) : min(x + 10, 64)] == 200).all()
    assert (canvas == 200).sum() == 3 * (min(x + 10, 64) - max(x, 0)) * (min(y + 10, 64) - max(y, 0))


def test_an_object_image_is_made_of_its_generator_alone(bar):
    one, two = (scenes.object_image(bar, GREY, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one[0], two[0])
    assert one[0].shape == (64, 64, 3)
    assert one[1] == two[1]
    assert not np.array_equal(one[0], scenes.object_image(bar, GREY, np.random.default_rng(4))[0])


def test_lengths_span_the_range(bar):
    lengths = [scenes.object_image(bar, GREY, np.random.default_rng(seed))[1] for seed in range(100)]
    assert 8 <= min(lengths) < 16
    assert 38 < max(lengths) <= 40
    # The share of a length is as its square: half of all are longer than the cube root of the mean of the cubes.
    assert np.median(lengths) == pytest.approx(((8**3 + 40**3) / 2) ** (1 / 3), abs=3)


def test_boxes_of_a_scene_do_not_meet_and_lie_in_the_image(bar):
    for seed in range(12):
        image, found = scenes.scene_image([bar, frame(10)], [0, 1, 0, 1], GREY, np.random.default_rng(seed))
        assert image.shape == (96, 96, 3)
        assert 1 <= len(found) <= 4
        boxes = [each.box for each in found]
        assert all((box >= 0).all() and (box <= 96).all() for box in boxes)
        for number, a in enumerate(boxes):
            for b in boxes[:number]:
                assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


def test_the_poor_camera_keeps_the_picture(bar):
    canvas = np.random.default_rng(0).uniform(60, 190, (4, 4, 3)).repeat(16, 0).repeat(16, 1)
    for seed in range(10):
        seen = scenes.photographed(canvas, np.random.default_rng(seed))
        assert seen.dtype == np.uint8
        assert np.abs(seen.reshape(4, 16, 4, 16, 3).mean((1, 3)) - canvas[::16, ::16]).max() < 8
