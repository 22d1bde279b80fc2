from __future__ import annotations

import pytest
from hand_made import any_size, assert_right_at, graph

from dwca_export.errors import ConversionError

SIZES = ((9, 14), (12, 21), (17, 16))
UNSEEN = ((5, 5), (10, 33), (31, 7), (4, 4))
EVEN = ((8, 24), (16, 16), (32, 40))
NEAREST, BILINEAR, BICUBIC = "0=1", "0=2", "0=3"


def network(interp, source="b"):
    """`a` has the input's size, `b` half of it rounded up."""
    return lambda h, w: graph(
        "Input -> in0",
        "Convolution in0 -> a 0=8 1=3 4=1 6=216",
        "Convolution a -> b 0=8 1=3 3=2 4=1 6=576",
        f"Interp {source} -> c {interp(h, w)}",
    )


@pytest.mark.parametrize("kind", [NEAREST, BILINEAR, BICUBIC])
def test_the_size_of_another_blob(kind):
    make = network(lambda h, w: f"{kind} 3={h} 4={w} 6=0")
    made = any_size(make, SIZES)
    assert made.layers[-1].string(9) == "1w,1h"
    assert_right_at(made, make, UNSEEN)


def test_one_side_constant():
    make = network(lambda h, w: f"{BILINEAR} 3=20 4={w}")
    made = any_size(make, SIZES)
    assert_right_at(made, make, UNSEEN)


def test_corners_aligned_stays():
    make = network(lambda h, w: f"{BILINEAR} 3={h} 4={w} 6=1")
    assert_right_at(any_size(make, SIZES), make, UNSEEN)


@pytest.mark.parametrize("kind", [NEAREST, BILINEAR])
def test_whole_scales(kind):
    make = network(lambda h, w: f"{kind} 3={3 * h} 4={2 * w}", source="a")
    made = any_size(make, SIZES)
    assert (made.layers[-1].float(1), made.layers[-1].float(2)) == (3.0, 2.0)
    assert_right_at(made, make, UNSEEN)


def test_leaves_scales_as_pnnx_writes_them():
    make = network(lambda h, w: f"{BILINEAR} 1=1.5 2=2.0")
    made = any_size(make, SIZES)
    assert made.layers[-1].float(1) == 1.5
    assert_right_at(made, make, UNSEEN)


REFUSED = {
    "no blob's size, no whole scale": (lambda h, w: f"{NEAREST} 3={h + 1} 4={w + 1}", SIZES),
    "half as large again": (lambda h, w: f"{NEAREST} 3={3 * h // 4} 4={3 * w // 4}", EVEN),
    "scales that differ": (lambda h, w: f"{NEAREST} 1={h / 9:.6f} 2=2.0", SIZES),
    "aligned here only": (lambda h, w: f"{BILINEAR} 3={h} 4={w} 6={h % 2}", SIZES),
    "twice the input and a blob's size alike": (lambda h, w: f"{NEAREST} 3={h} 4={w}", EVEN),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_is_not_certain(name):
    interp, sizes = REFUSED[name]
    with pytest.raises(ConversionError, match=r"generalise, layer interp_3 \(Interp\)"):
        any_size(network(interp), sizes)
