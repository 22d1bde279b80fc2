from __future__ import annotations

import numpy as np
import pytest

from dwca_export.errors import InputRefusedError
from models.data import render
from models.data.icons import Icon

BAR = '<rect x="2" y="10" width="20" height="4" fill="currentColor"/>'
FRAME = '<path fill="none" stroke="currentColor" d="M3 9h18v6H3z"/>'
DOT = '<circle cx="12" cy="3" r="1.5"/>'


def icon(body, *, coloured=False, largest_only=False, box=(0, 0, 24, 24)):
    return Icon("set:name", 0, "Some Body", body, box, coloured, largest_only)


def turned(body, angle):
    return f'<g transform="rotate({angle} 12 12)">{body}</g>'


@pytest.mark.parametrize("angle", [0, 20, 45, 90, 160, 270])
def test_an_object_lies_along_x_and_fills_its_drawing(angle):
    drawing = render.render(icon(turned(BAR, angle)))
    height, width = drawing.image.shape[:2]
    assert width == render.LENGTH
    assert height == pytest.approx(render.LENGTH * 4 / 20, abs=4)
    alpha = drawing.image[:, :, 3]
    assert alpha[height // 2].min() > 50
    assert alpha[3:-3, 5:-5].min() > 230


@pytest.mark.parametrize("box", [(0, 0, 24, 24), (-4, 0, 32, 24), (0, 8, 24, 8)])
def test_the_view_box_does_not_change_the_object(box):
    drawing = render.render(icon(BAR, box=box))
    assert drawing.image.shape[0] == pytest.approx(render.LENGTH * 4 / 20, abs=4)


def test_lines_that_leave_the_view_box_are_seen():
    drawing = render.render(icon('<rect x="-1" y="10" width="26" height="4"/>'))
    assert drawing.image.shape[0] == pytest.approx(render.LENGTH * 4 / 26, abs=4)


def test_the_silhouette_is_filled_and_the_drawing_is_not():
    drawing = render.render(icon(FRAME))
    middle = (drawing.image.shape[0] // 2, render.LENGTH // 2)
    assert drawing.image[middle][3] == 0
    assert drawing.silhouette[middle] == 255


def test_an_open_shape_is_not_filled():
    drawing = render.render(icon('<path fill="none" stroke="currentColor" d="M3 15V9h18v6"/>'))
    assert drawing.silhouette[drawing.silhouette.shape[0] // 2, render.LENGTH // 2] == 0


def test_only_the_largest_part_is_kept_where_the_recipe_says_so():
    whole, largest = (render.render(icon(BAR + DOT, largest_only=only)) for only in (False, True))
    alone = render.render(icon(BAR))
    assert whole.image.shape[0] > alone.image.shape[0] + 10
    # The faintest pixels of its edge are cut off too.
    difference = np.abs(largest.image.astype(int) - alone.image)
    assert difference.mean() < 1


def test_what_the_largest_part_encloses_belongs_to_it():
    inside = '<rect x="10" y="11.5" width="4" height="1"/>'
    drawing = render.render(icon(FRAME + inside + DOT, largest_only=True))
    assert drawing.image[drawing.image.shape[0] // 2, render.LENGTH // 2, 3] == 255


def test_own_colours_are_kept():
    drawing = render.render(icon(BAR.replace("currentColor", "#20c040"), coloured=True))
    assert drawing.coloured
    np.testing.assert_array_equal(drawing.image[drawing.image.shape[0] // 2, 100], [0x20, 0xC0, 0x40, 255])


@pytest.mark.parametrize(
    "body", ["", '<rect x="30" y="30" width="2" height="2"/>', '<rect width="9" height="9" opacity="0"/>']
)
def test_an_icon_that_shows_nothing_is_refused(body):
    with pytest.raises(InputRefusedError, match="nothing can be seen"):
        render.render(icon(body))


def test_what_is_no_svg_is_refused():
    with pytest.raises(InputRefusedError, match="cannot be rendered") as caught:
        render.render(icon("<rect"))
    assert caught.value.where == "set:name"


def test_the_largest_of_parts_is_found():
    mask = np.zeros((384, 384), bool)
    mask[10:50, 10:50] = mask[100:300, 100:120] = mask[350:, 350:] = True
    part = render.largest_part(mask)
    assert part[100:300, 100:120].all()
    assert not part[:60].any()
    assert not part[340:].any()
