from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwca_export.detect.letterbox import BORDER, letterbox, place
from dwca_export.errors import InputRefusedError

sides = st.integers(1, 500)


@settings(deadline=None)
@given(sides, sides, sides, sides)
def test_the_image_lies_in_the_input_and_touches_two_edges(height, width, input_height, input_width):
    placed = place(height, width, input_height, input_width)
    assert 0 <= placed.top <= placed.top + placed.scaled_height <= input_height
    assert 0 <= placed.left <= placed.left + placed.scaled_width <= input_width
    assert placed.scaled_height == input_height or placed.scaled_width == input_width
    # In the middle, up to a pixel.
    assert abs(input_height - placed.scaled_height - 2 * placed.top) <= 1
    assert abs(input_width - placed.scaled_width - 2 * placed.left) <= 1


@settings(deadline=None)
@given(sides, sides, sides, sides)
def test_the_place_itself_is_the_whole_image(height, width, input_height, input_width):
    placed = place(height, width, input_height, input_width)
    right, bottom = placed.left + placed.scaled_width, placed.top + placed.scaled_height
    boxes = np.array([[placed.left, placed.top, right, bottom]], np.float32)
    assert placed.to_image(boxes)[0] == pytest.approx([0, 0, width, height], abs=1e-3)


def test_boxes_computed_by_hand():
    placed = place(100, 200, 96, 96)  # 48 x 96, 24 rows of border above and below
    boxes = np.array([[48, 24, 96, 48], [0, 0, 20, 24], [-5, 60, 200, 90]], np.float32)
    expected = [[100, 0, 200, 50], [0, 0, 41.6667, 0], [0, 75, 200, 100]]
    assert placed.to_image(boxes) == pytest.approx(np.array(expected), abs=1e-3)


def test_an_image_of_the_right_size_is_left_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    fitted, _ = letterbox(pixels, 3, 8, 6)
    np.testing.assert_array_equal(fitted, pixels)


def test_an_image_of_the_right_width_gets_a_border():
    pixels = np.zeros((4, 8, 3), np.uint8)
    fitted, placed = letterbox(pixels, 3, 8, 8)
    assert (placed.top, placed.left) == (2, 0)
    assert (fitted[[0, 1, 6, 7]] == BORDER).all()
    assert not fitted[2:6].any()


def test_a_planted_spot_is_where_the_boxes_say():
    pixels = np.zeros((300, 150, 3), np.uint8)
    pixels[120:150, 30:60] = 255
    fitted, placed = letterbox(pixels, 3, 60, 60)
    rows, columns = np.nonzero(fitted[:, :, 0] > 200)
    spot = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
    assert placed.to_image(spot)[0] == pytest.approx([30, 120, 60, 150], abs=5.01)  # a pixel of the input is five


def test_channels_are_converted():
    assert letterbox(np.full((4, 4, 1), 77, np.uint8), 3, 4, 4)[0].shape == (4, 4, 3)
    assert letterbox(np.full((4, 4, 3), 77, np.uint8), 1, 4, 4)[0].shape == (4, 4, 1)


def test_channels_that_images_do_not_have_are_refused():
    with pytest.raises(InputRefusedError, match="takes 5 channels"):
        letterbox(np.zeros((4, 4, 3), np.uint8), 5, 4, 4)
