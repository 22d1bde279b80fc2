from __future__ import annotations

import pytest
from hand_made import assert_close, graph, noise, tapped, values

from dwca_export.ncnn.graph import Tap
from dwca_export.ncnn.passes.fuse_activation import apply

PRODUCERS = {
    "Convolution": "Convolution in0 -> a 0=6 1=3 4=1 5=1 6=216",
    "Convolution without bias": "Convolution in0 -> a 0=8 1=1 6=32",
    "ConvolutionDepthWise": "ConvolutionDepthWise in0 -> a 0=4 1=5 4=2 6=100 7=4",
    "Deconvolution": "Deconvolution in0 -> a 0=6 1=2 2=2 5=1 6=96",
    "DeconvolutionDepthWise": "DeconvolutionDepthWise in0 -> a 0=4 1=2 2=2 6=16 7=4",
    "InnerProduct": "InnerProduct in0 -> a 0=7 1=1 2=504",
}
HARDSWISH = ("0=0.166666672 1=0.5", "", "0=0.3 1=0.25")
CONVOLUTION = PRODUCERS["Convolution"]


@pytest.mark.parametrize("parameters", HARDSWISH)
@pytest.mark.parametrize("producer", PRODUCERS)
def test_fuses(producer, parameters):
    made = graph(
        "Input -> in0",
        PRODUCERS[producer],
        f"HardSwish a -> b {parameters}",
        "TanH b -> c",
        taps={"conv": "a", "act": "b"},
    )
    x = 3 * noise(4, 3, 6)  # beyond +-3, where HardSwish has its corners

    after, modified = apply(made)

    assert modified is True
    assert [layer.name for layer in after.layers] == ["in0", "a", "c"]
    assert after.layer("a").int(9) == 6
    assert after.taps == (Tap("act", "b"),), "what the convolution alone computed is in no blob any more"
    assert_close(values(after, x), values(made, x))
    assert_close(list(tapped(after, x).values()), [tapped(made, x)["act"]])


def test_fuses_every_pair_once():
    made = graph(
        "Input -> in0",
        CONVOLUTION,
        "HardSwish a -> b 0=0.166666672 1=0.5",
        "HardSwish b -> c 0=0.166666672 1=0.5",
        "ConvolutionDepthWise c -> d 0=6 1=3 4=1 6=54 7=6",
        "HardSwish d -> e 0=0.166666672 1=0.5",
    )
    x = noise(4, 6, 5)
    after, modified = apply(made)
    assert modified is True
    assert [layer.type for layer in after.layers] == ["Input", "Convolution", "HardSwish", "ConvolutionDepthWise"]
    assert_close(values(after, x), values(made, x))
    assert apply(after) == (after, False)


LOOK_ALIKES = {
    "an activation is there already": (f"{CONVOLUTION} 9=1", "HardSwish a -> b"),
    "another layer reads it too": (CONVOLUTION, "HardSwish a -> b", "TanH a -> c"),
    "another activation": (CONVOLUTION, "HardSigmoid a -> b"),
    "no weights before it": ("TanH in0 -> a", "HardSwish a -> b"),
    "something between them": (CONVOLUTION, "TanH a -> b", "HardSwish b -> c"),
    "HardSwish before it": ("HardSwish in0 -> b", CONVOLUTION.replace("in0", "b")),
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_leaves_look_alikes(name):
    made = graph("Input -> in0", *LOOK_ALIKES[name])
    after, modified = apply(made)
    assert modified is False
    assert after is made


def test_leaves_an_output_of_the_network():
    made = graph("Input -> in0", CONVOLUTION, "HardSwish a -> b", outputs=("a", "b"))
    assert apply(made) == (made, False)
