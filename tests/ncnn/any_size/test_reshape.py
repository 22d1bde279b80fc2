from __future__ import annotations

import pytest
from hand_made import any_size, assert_right_at, graph

from dwca_export.errors import ConversionError

SIZES = ((9, 14), (12, 21), (17, 16))
UNSEEN = ((5, 5), (10, 33), (31, 7), (1, 4), (3, 1), (1, 1))


def network(lines):
    return lambda h, w: graph("Input -> in0", "Convolution in0 -> a 0=8 1=1 6=24", *lines(h, w))


ONE_NUMBER = {
    "all of it": lambda h, w: (f"Reshape a -> b 0={8 * h * w}",),
    "each channel": lambda h, w: (f"Reshape a -> b 0={h * w} 1=8",),
    "channels in groups": lambda h, w: (f"Reshape a -> b 0={h * w} 1=4 2=2",),
    "rank four": lambda h, w: (f"Reshape a -> b 0={h * w} 1=2 11=2 2=2",),
    "a strip turned": lambda h, w: ("Reduction a -> s 0=3 1=0 -23303=1,2 4=1 5=1", f"Reshape s -> b 0={h} 1=1 2=8"),
    "-1 here, a number there": lambda h, w: (f"Reshape a -> b 0={-1 if h == 9 else h * w} 1=8",),
}


@pytest.mark.parametrize("name", ONE_NUMBER)
def test_one_number_becomes_what_remains(name):
    make = network(ONE_NUMBER[name])
    made = any_size(make, SIZES)
    assert "-1" in made.layers[-1].params.values()
    assert not made.layers[-1].has(6)
    assert_right_at(made, make, UNSEEN)


SEVERAL = {
    "channels apart": lambda h, w: (f"Reshape a -> b 0={w} 1={h} 11=4 2=2",),
    "columns for rows": lambda h, w: ("Permute a -> p 0=1", f"Reshape p -> b 0={h} 1={w} 11=4 2=2"),
    "flat and back": lambda h, w: (f"Reshape a -> f 0={h * w} 1=8", f"Reshape f -> b 0={w} 1={h} 2=8"),
    "sizes of another map": lambda h, w: (
        "Convolution a -> q 0=3 1=3 3=2 4=1 6=216",
        f"Reshape q -> f 0={half(h) * half(w)} 1=3",
        f"Reshape f -> b 0={half(w)} 1={half(h)} 2=3",
    ),
}


def half(size):
    return -(-size // 2)


@pytest.mark.parametrize("name", SEVERAL)
def test_several_numbers_become_sizes_of_blobs(name):
    make = network(SEVERAL[name])
    made = any_size(make, SIZES)
    assert made.layers[-1].has(6)
    assert not any(made.layers[-1].has(key) for key in (0, 1, 2, 11))
    assert_right_at(made, make, UNSEEN)


REFUSED = {
    "a size of no blob": lambda h, w: f"0={2 * w} 1={h} 2=4",
    "an expression that differs": lambda h, w: f'6="{w},{h},4,2"',
    "another rank": lambda h, w: f"0={h * w * 8}" if h == 9 else f"0={h * w} 1=8",
    "another parameter": lambda h, w: f"0={h * w} 1=8 3={h % 2}",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_the_others(name):
    params = REFUSED[name]
    with pytest.raises(ConversionError, match=r"generalise, layer reshape_2 \(Reshape\)"):
        any_size(network(lambda h, w: (f"Reshape a -> b {params(h, w)}",)), SIZES)
