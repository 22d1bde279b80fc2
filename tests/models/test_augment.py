"""Shifts and mirrors: of pixels, of boxes, and that both move alike."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dwca_export.errors import UsageError
from models.augment import Moves, draw_moves, move_boxes, move_images, require_room

HEIGHT, WIDTH = 20, 24
STAY = torch.zeros(2, dtype=torch.bool)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def moved_pixels(shift, mirror, count=480):
    """Where one bright pixel of each image is before and after: two tensors `(count, 2)` of rows and columns."""
    images = torch.zeros(count, HEIGHT, WIDTH, 1, dtype=torch.uint8)
    places = torch.arange(count)
    rows, columns = 4 + places % (HEIGHT - 8), 4 + places // (HEIGHT - 8) % (WIDTH - 8)
    images[places, rows, columns] = 200
    moved = move_images(images, draw_moves(count, shift, mirror, seeded()), repeat_border=False)
    assert moved.shape == images.shape
    assert moved.dtype == torch.uint8
    assert torch.equal(moved.sum((1, 2)), images.sum((1, 2)))
    return torch.stack([rows, columns], 1), moved.nonzero()[:, 1:3]


def test_images_are_shifted_by_every_step_along_both_axes():
    before, after = moved_pixels(3, "none")
    for axis in (0, 1):
        assert set((after - before)[:, axis].tolist()) == {-3, -2, -1, 0, 1, 2, 3}


@pytest.mark.parametrize(("mirror", "axes"), [("none", []), ("columns", [1]), ("both", [0, 1])])
def test_half_of_the_images_is_mirrored_along_the_axes_asked_for(mirror, axes):
    before, after = moved_pixels(0, mirror)
    for axis, side in enumerate((HEIGHT, WIDTH)):
        straight = after[:, axis] == before[:, axis]
        reversed_ = after[:, axis] == side - 1 - before[:, axis]
        assert torch.all(straight | reversed_)
        assert (0.4 < reversed_.float().mean() < 0.7) if axis in axes else torch.all(straight)


@pytest.mark.parametrize(("repeat", "values"), [(True, {255}), (False, {0, 255})])
def test_what_comes_into_view_is_the_border_or_nothing(repeat, values):
    images = torch.full((64, HEIGHT, WIDTH, 3), 255, dtype=torch.uint8)
    moved = move_images(images, draw_moves(64, 3, "both", seeded()), repeat_border=repeat)
    assert set(moved.unique().tolist()) == values
    assert torch.all(moved[:, 3:-3, 3:-3] == 255)


spans = st.tuples(st.integers(0, HEIGHT), st.integers(0, HEIGHT)).filter(lambda span: span[0] < span[1])


@given(seed=st.integers(0, 1000), x=spans, y=spans, mirror=st.sampled_from(["both", "all"]))
def test_boxes_move_with_what_they_hold(seed, x, y, mirror):
    width = HEIGHT if mirror == "all" else WIDTH
    image = torch.zeros(1, HEIGHT, width, 1, dtype=torch.uint8)
    image[0, y[0] : y[1], x[0] : x[1]] = 1
    moves = draw_moves(1, 4, mirror, seeded(seed))
    box = torch.tensor([[x[0], y[0], x[1], y[1]]], dtype=torch.float32)
    moved, visible = move_boxes(box, torch.tensor([0]), moves, (HEIGHT, width))
    held = move_images(image, moves, repeat_border=False).nonzero()
    area = (x[1] - x[0]) * (y[1] - y[0])
    assert bool(visible) == (2 * len(held) >= area)
    if len(held):
        (top, left), (bottom, right) = held[:, 1:3].min(0).values, held[:, 1:3].max(0).values + 1
        assert moved.tolist() == [[left, top, right, bottom]]


def test_a_square_is_seen_in_all_eight_ways():
    image = torch.arange(9, dtype=torch.uint8).view(1, 3, 3, 1)
    moved = move_images(image.expand(200, 3, 3, 1), draw_moves(200, 0, "all", seeded()), repeat_border=True)
    ways = {tuple(view.flatten().tolist()) for view in moved}
    quarter_turns = [image[0, :, :, 0].rot90(k) for k in range(4)]
    assert ways == {tuple(view.flatten().tolist()) for turn in quarter_turns for view in (turn, turn.T)}


def test_rows_and_columns_of_what_is_not_square_are_not_exchanged():
    moves = draw_moves(16, 0, "all", seeded())
    with pytest.raises(UsageError, match="images of 20x24 cannot have rows and columns exchanged"):
        move_images(torch.zeros(16, HEIGHT, WIDTH, 1, dtype=torch.uint8), moves, repeat_border=True)


def test_each_box_moves_with_its_own_image():
    moves = Moves(torch.tensor([[0, 3], [0, -2]]), torch.tensor([[False, False], [False, True]]), STAY)
    boxes = torch.tensor([[4.0, 5, 8, 9], [4, 5, 8, 9]])
    moved, _ = move_boxes(boxes, torch.tensor([0, 1]), moves, (HEIGHT, WIDTH))
    assert moved.tolist() == [[4, 5, 8, 9], [WIDTH - 10, 2, WIDTH - 6, 6]]


def test_a_shift_that_leaves_nothing_in_view_is_refused():
    require_room(27, 28)
    with pytest.raises(UsageError, match="shift=28 cannot be"):
        require_room(28, 28)
