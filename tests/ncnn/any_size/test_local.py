from __future__ import annotations

import pytest
from hand_made import any_size, assert_right_at, graph

from dwca_export.errors import ConversionError

NEAR = ((36, 90), (52, 70), (62, 40))
FAR = ((36, 90), (70, 65), (129, 30))


def network(layer):
    """A stride of 32 in all, then a strip as pnnx writes it."""

    def make(h, w):
        lines = [f"ConvolutionDepthWise in{index} -> in{index + 1} 0=3 1=3 3=2 4=1 6=27 7=3" for index in range(4)]
        columns = -(-w // 32)
        return graph(
            "Input -> in0", *lines, f"{layer}", f"Pooling last -> strip 0=1 1={columns} 11=1 2={columns} 12=1 5=1"
        )

    return make


LAYERS = {
    "ConvolutionDepthWise": "ConvolutionDepthWise in4 -> last 0=3 1=3 3=2 4=1 6=27 7=3",
    "Convolution": "Convolution in4 -> last 0=3 1=3 3=2 4=1 6=81",
    "Pooling": "Pooling in4 -> last 0=0 1=2 2=2",
}


@pytest.mark.parametrize("name", LAYERS)
def test_refuses_sizes_that_the_strides_make_one(name):
    """Rows of 36, 52 and 62 become two: a kernel of two rows would pass for a constant."""
    with pytest.raises(ConversionError, match=rf"layer \w+ \({name}\): makes every height 2: .* too close together"):
        any_size(network(LAYERS[name]), NEAR)


@pytest.mark.parametrize("name", LAYERS)
def test_sizes_farther_apart_do(name):
    make = network(LAYERS[name])
    assert_right_at(any_size(make, FAR), make, ((33, 33), (200, 34), (64, 100)))


def test_leaves_what_has_one_size_by_design():
    def make(h, w):
        return graph(
            "Input -> in0",
            "Pooling in0 -> a 0=1 7=1 8=4 18=3",
            "Pooling in0 -> b 0=1 4=1",
            "Reshape a -> c 0=12 1=3",
        )

    made = any_size(make, NEAR)
    assert [layer.type for layer in made.layers] == ["Input", "Pooling", "Pooling", "Reshape"]
    assert_right_at(made, make, ((5, 5), (31, 9), (3, 70)))
