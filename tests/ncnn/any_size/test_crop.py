from __future__ import annotations

import pytest
from hand_made import any_size, assert_right_at, graph

from dwca_export.errors import ConversionError

SIZES = ((9, 15), (12, 22), (17, 18))
UNSEEN = ((5, 6), (10, 33), (31, 7), (4, 4))


def half(size):
    return -(-size // 2)


def network(crop):
    """`a` has the input's size, `b` half of it rounded up, `c` twice that of `b`: the input's or one more."""
    return lambda h, w: graph(
        "Input -> in0",
        "Convolution in0 -> a 0=8 1=3 4=1 6=216",
        "Convolution a -> b 0=8 1=3 3=2 4=1 6=576",
        "Interp b -> c 0=1 1=2.0 2=2.0",
        f"Crop {crop(h, w)}",
    )


KNOWN = {
    "ends at the size of a blob": lambda h, w: f"c -> d -23309=1,0 -23310=1,{h} -23311=1,1",
    "both axes": lambda h, w: f"c -> d -23309=2,0,0 -23310=2,{h},{w} -23311=2,1,2",
    "starts there": lambda h, w: f"c -> d -23309=1,{half(h)} -23310=1,-233 -23311=1,1",
    "counted from the end": lambda h, w: f"c -> d -23309=2,0,-3 -23310=2,{half(h)},-1 -23311=2,1,2",
    "an axis counted from the end": lambda h, w: f"c -> d -23309=1,1 -23310=1,{half(w)} -23311=1,-1",
    "channels too": lambda h, w: f"c -> d -23309=2,2,0 -23310=2,5,{h} -23311=2,0,1",
}


@pytest.mark.parametrize("name", KNOWN)
def test_bounds_become_sizes_of_blobs(name):
    make = network(KNOWN[name])
    made = any_size(make, SIZES)
    crop = made.layers[-1]
    assert all(crop.has(key) for key in (19, 20, 21))
    assert not any(crop.has(key) for key in (9, 10, 11))
    assert_right_at(made, make, UNSEEN)


def test_leaves_bounds_that_do_not_depend_on_the_size():
    make = network(lambda h, w: "c -> d -23309=2,1,-3 -23310=2,-1,-233 -23311=2,1,2")
    made = any_size(make, SIZES)
    assert made.layers[-1].has(9)
    assert_right_at(made, make, UNSEEN)


REFUSED = {
    "half rounded down": lambda h, w: f"c -> d -23309=1,0 -23310=1,{h // 2} -23311=1,1",
    "a third": lambda h, w: f"c -> d -23309=1,0 -23310=1,{h // 3} -23311=1,1",
    "offsets": lambda h, w: f"c -> d 1={half(h)} 4=2 3=3 5=8",
    "another axis": lambda h, w: f"c -> d -23309=1,0 -23310=1,{h} -23311=1,{1 + h % 2}",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_no_blob_tells(name):
    with pytest.raises(ConversionError, match=r"generalise, layer crop_4 \(Crop\)"):
        any_size(network(REFUSED[name]), SIZES)
