"""No backend is given anything but what its model was made for."""

from __future__ import annotations

import numpy as np
import pytest

from dwca_export.artifacts import TensorSpec
from dwca_export.errors import InputRefusedError
from dwca_export.runners.base import check_feeds

INPUTS = (TensorSpec("image", (1, 3, 8, 6)), TensorSpec("query", (1, 5, 2)))


def feeds(**changes):
    return {"image": np.zeros((1, 3, 8, 6), np.float32), "query": np.zeros((1, 5, 2), np.float32), **changes}


def test_the_right_feeds():
    check_feeds(feeds(), INPUTS, "here")


@pytest.mark.parametrize("any_size", [False, True])
@pytest.mark.parametrize(
    "wrong",
    [
        {"image": np.zeros((1, 4, 8, 6), np.float32)},
        {"image": np.zeros((2, 3, 8, 6), np.float32)},
        {"image": np.zeros((3, 8, 6), np.float32)},
        {"image": np.zeros((1, 3, 8, 6))},
        {"image": np.zeros((1, 3, 8, 6), np.float16)},
        {"image": np.zeros((1, 3, 8, 6), np.uint8)},
        {"image": np.zeros((1, 3, 8, 6), ">f4")},
        {"query": np.zeros((1, 6, 2), np.float32)},
        {"query": np.zeros((1, 5, 3), np.float32)},
        {"extra": np.zeros((1,), np.float32)},
    ],
)
def test_other_feeds_are_refused(wrong, any_size):
    with pytest.raises(InputRefusedError) as caught:
        check_feeds(feeds(**wrong), INPUTS, "here", any_size=any_size)
    assert caught.value.where == "here"
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("size", [(8, 7), (6, 8), (1, 1)])
def test_any_height_and_width_for_a_network_made_for_them(size):
    image = np.zeros((1, 3, *size), np.float32)
    check_feeds(feeds(image=image), INPUTS, "here", any_size=True)
    with pytest.raises(InputRefusedError, match=r"takes float32 \[1, 3, 8, 6\] only"):
        check_feeds(feeds(image=image), INPUTS, "here")


def test_a_missing_input_is_refused_by_name():
    with pytest.raises(InputRefusedError, match=r"\['image'\] given, \['image', 'query'\] expected"):
        check_feeds({"image": feeds()["image"]}, INPUTS, "here")
