from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hand_made import assert_close, finish, graph, noise, run
from torch import nn
from torch.nn import functional

from dwca_export.block import DWCABlock
from dwca_export.errors import ConversionError
from dwca_export.generalise import generalise
from dwca_export.ncnn.graph import from_model
from dwca_export.optimise import optimise

SIZES = ((33, 48), (64, 80), (97, 65))
UNSEEN = ((32, 32), (47, 47), (17, 70), (101, 38), (9, 5), (4, 3), (1, 1))


class Net(nn.Module):
    """Blocks of both strides, an output of every rank, and heads as detectors have them."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.Hardswish())
        self.blocks = nn.Sequential(DWCABlock(16, 16), DWCABlock(16, 24, 3, stride=2, groups=2))
        self.head = nn.Conv2d(24, 12, 1)
        self.classify = nn.Linear(24, 7)

    def forward(self, x):
        features = self.blocks(self.stem(x))
        boxes = self.head(features)
        boxes = boxes.reshape(1, 3, 4, *boxes.shape[2:]).permute(0, 3, 4, 1, 2).flatten(1, 3)
        return boxes, self.classify(features.mean((2, 3)))


class Pyramid(nn.Module):
    """Maps brought to each other's size in the three ways that people write it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)
        self.lateral = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        fine = self.first(x)
        coarse = self.second(fine)
        added = self.lateral(fine) + functional.interpolate(coarse, size=fine.shape[-2:])
        smooth = functional.interpolate(coarse, size=x.shape[-2:], mode="bilinear")
        return added, smooth, functional.interpolate(coarse, scale_factor=2)


class Half(nn.Module):
    """The upper half of a map; of an odd one, the smaller. No blob has its size, `stem`'s has one more in odd maps."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.up = nn.ConvTranspose2d(8, 8, 2, 2)

    def forward(self, x):
        return self.up(self.stem(x))[:, :, : x.shape[2] // 2]


def seeded(module):
    torch.manual_seed(0)
    return module().eval()


def blobs_of(network):
    names = [blob for layer in from_model(network).layers for blob in layer.tops]
    return run(network, [noise(*spec.shape[1:]) for spec in network.inputs], names)


def generalised(convert, module, sizes):
    networks = [convert(module, (1, 3, *size)) for size in sizes]
    made, rewritten = generalise(networks, [blobs_of(network) for network in networks])
    return optimise(networks[0], made)[0], rewritten


def check_at(network, module, sizes):
    for size in sizes:
        x = noise(3, *size)
        with torch.inference_mode():
            expected = module(torch.from_numpy(x)[None])
        assert_close(list(run(network, [x]).values()), [one[0].numpy() for one in expected])


@pytest.fixture(scope="module")
def net():
    return seeded(Net)


def test_a_network_of_blocks_is_right_at_sizes_it_never_saw(convert, net):
    network, rewritten = generalised(convert, net, SIZES)
    check_at(network, net, (*SIZES, *UNSEEN))
    assert len(rewritten) == 2 * 5 + 2, "two strips, a slice and two turns in each block, and two reshapes of the head"
    types = [layer.type for layer in network.param.layers]
    assert "Slice" not in types
    assert "Pooling" in types, "the mean over the whole map depends on no size"
    assert types.count("Crop") == 4
    assert all(not layer.params for layer in network.param.layers if layer.type == "Input")


def test_maps_are_brought_to_each_other_s_size(convert):
    module = seeded(Pyramid)
    network, rewritten = generalised(convert, module, ((33, 47), (95, 34)))
    check_at(network, module, (*SIZES, *UNSEEN))
    assert len(rewritten) == 2


def test_a_half_that_is_no_blob_s_is_refused(convert):
    """33 rows: 16 of them, where `stem` makes 17. Accepted, it would be right at every even size."""
    with pytest.raises(ConversionError, match=r"layer \S+ \(Crop\): the sizes 16 / 20 are those of no blob"):
        generalised(convert, seeded(Half), ((33, 48), (40, 32)))


# What no rule may touch, written by hand: (h, w) -> the layers.
REFUSED = {
    "another layer": (
        lambda h, w: ("ReLU in0 -> a", f"{'TanH' if h == 9 else 'Sigmoid'} a -> b"),
        r"\((TanH|Sigmoid)\): there is another layer",
    ),
    "a layer more": (
        lambda h, w: ("ReLU in0 -> a", *(["TanH a -> b"] if h == 9 else [])),
        r"\(TanH\): there is another layer, or none",
    ),
    "other blobs": (
        lambda h, w: ("ReLU in0 -> a", "TanH in0 -> b", f"BinaryOp {'a b' if h == 9 else 'b a'} -> c 0=1"),
        r"\(BinaryOp\): reads other blobs",
    ),
    "a layer without a rule": (
        lambda h, w: ("ReLU in0 -> a", f"BinaryOp a -> b 0=2 1=1 2={h / 4:.2f}"),
        r"\(BinaryOp\): parameter 2 depends on the input size: 2.25 / 3.00 / 4.25",
    ),
    "features flattened into an inner product": (
        lambda h, w: (f"Reshape in0 -> a 0={3 * h * w}", f"InnerProduct a -> b 0=4 1=1 2={12 * h * w}"),
        r"\(InnerProduct\): its weights depend",
    ),
    "a position embedding": (
        lambda h, w: (f"MemoryData -> p 0={w} 1={h} 2=3", "BinaryOp in0 p -> b 0=0"),
        r"\(MemoryData\): its weights depend",
    ),
    "padding to an even size": (
        lambda h, w: (f"Padding in0 -> a 1={h % 2} 3={w % 2} 4=0",),
        r"\(Padding\): parameter \d depends",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_no_rule_knows(name):
    make, fault = REFUSED[name]
    with pytest.raises(ConversionError, match=rf"generalise, layer \S+ {fault}"):
        by_hand(make)


def by_hand(make, sizes=((9, 14), (12, 21), (17, 16)), **changes):
    networks = [finish(graph("Input -> in0", *make(*size))) for size in sizes]
    for index, change in changes.items():
        networks[int(index[1:])] = change(networks[int(index[1:])])
    blobs = [
        run(network, [noise(3, *size)], [blob for layer in from_model(network).layers for blob in layer.tops])
        for network, size in zip(networks, sizes, strict=True)
    ]
    return generalise(networks, blobs)


CONVOLUTION = "Convolution in0 -> a 0=4 1=1 5=1 6=12"


def test_refuses_weights_that_differ():
    def other(network):
        first, *rest = network.weights
        return replace(network, weights=(replace(first, data=np.nextafter(first.data, np.float32(9))), *rest))

    assert by_hand(lambda h, w: (CONVOLUTION,))[1] == ()
    with pytest.raises(ConversionError, match=r"\(Convolution\): its weights depend"):
        by_hand(lambda h, w: (CONVOLUTION,), _2=other)


def test_refuses_outputs_in_another_order():
    def make(h, w):
        return ("ReLU in0 -> a", "TanH in0 -> b")

    networks = [finish(graph("Input -> in0", *make(9, 9), outputs=order)) for order in (("a", "b"), ("b", "a"))]
    blobs = [run(networks[0], [noise(3, *size)], networks[0].param.blobs) for size in ((9, 14), (12, 11))]
    renamed = {"out0": "out1", "out1": "out0"}
    blobs[1] = {renamed.get(blob, blob): value for blob, value in blobs[1].items()}
    with pytest.raises(ConversionError, match="outputs are others"):
        generalise(networks, blobs)


@pytest.mark.parametrize(
    ("sizes", "fault"),
    [
        (((9, 14),), "all for one input size"),
        (((9, 14), (9, 14)), "all for one input size"),
        (((8, 8), (12, 12), (17, 17)), "do not tell its height from its width"),
        (((8, 9), (12, 14), (17, 14)), "do not tell its height from its width"),
        (((9, 9), (9, 14)), "do not tell its height from its width"),
    ],
)
def test_refuses_sizes_that_tell_nothing(sizes, fault):
    with pytest.raises(ConversionError, match=fault):
        by_hand(lambda h, w: (CONVOLUTION,), sizes)
