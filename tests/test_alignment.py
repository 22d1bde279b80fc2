"""Each value is followed through all hops; the first that is wrong is named, in the hop that made it wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from bundle_check import noise
from torch import nn

from dwca_export.alignment import align, document, require
from dwca_export.artifacts import LoadedModel
from dwca_export.block import DWCABlock
from dwca_export.conversion import Opener, convert
from dwca_export.errors import ParityError
from dwca_export.ncnn.weights import to_fp16, write_weights
from dwca_export.optimise import optimise
from dwca_export.progress import Progress
from dwca_export.proof import Shipped
from dwca_export.workers import Workers

SHAPE = (1, 3, 20, 20)
PARTS = ["dw_conv", "act", "pool_h", "pool_w", "conv_pool", "act#2", "sigmoid", "sigmoid#2"]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.one = DWCABlock(8, 8)
        self.two = DWCABlock(8, 16, stride=2)
        self.head = nn.Linear(16, 4)

    def forward(self, image):
        return self.head(self.two(self.one(self.stem(image))).mean((2, 3)))


@pytest.fixture(scope="module")
def conversion():
    torch.manual_seed(0)
    with Workers(120) as workers:
        return convert(Opener(LoadedModel(Net(), "module", "")), (SHAPE,), Progress(quiet=True), workers, 120)


@pytest.fixture(scope="module")
def network(conversion):
    return optimise(conversion.ncnn)[0]


@pytest.fixture
def ship(network, tmp_path):
    """`ship(weights=None)`: the network on disk, with other weights if given."""

    def call(weights=None, tolerance="fp32"):
        (tmp_path / "net.param").write_text(network.param.text(), encoding="utf-8")
        (tmp_path / "net.bin").write_bytes(write_weights(network.weights if weights is None else weights))
        return Shipped("ncnn", tmp_path / "net.param", tmp_path / "net.bin", tolerance)

    return call


SAMPLE = {"image": noise(SHAPE)}


def test_every_part_of_every_block_is_followed_from_torch_to_ncnn(conversion, network, ship):
    alignment = require(align(conversion, network, ship(), SAMPLE))
    found = {value.module: value for value in alignment.values}
    assert {"stem", "one", "two", *(f"{block}.{part}" for block in ("one", "two") for part in PARTS)} <= set(found)
    names = [name for name, _ in conversion.onnx]
    for value in found.values():
        assert list(value.hops) == [f"{a} -> {b}" for a, b in zip(["torch", *names], names, strict=False)]
        assert all(measurement.relative_l2 < 1e-5 for measurement in value.hops.values())
        assert value.ncnn.added.relative_l2 < 1e-5
        assert value.ncnn.kind is None


def test_all_other_blobs_are_recorded(conversion, network, ship):
    alignment = align(conversion, network, ship(), SAMPLE)
    tapped = {tap.blob for tap in network.tapped}
    assert set(alignment.blobs) == set(network.param.computed) - tapped - {"out0"}


def test_it_can_be_written_as_json(conversion, network, ship):
    rows = document(align(conversion, network, ship(), SAMPLE))["values"]
    assert rows[0]["module"] == "stem"
    assert rows[0]["hops"]["torch -> ONNX"]["shape"] == [1, 8, 10, 10]


def broken(weights, layer, name="weight"):
    """The weights, one number of a layer's tensor replaced."""
    index = next(i for i, weight in enumerate(weights) if (weight.layer, weight.name) == (layer, name))
    data = weights[index].data.copy()
    data.flat[3] += 1.0
    return (*weights[:index], replace(weights[index], data=data), *weights[index + 1 :])


@pytest.mark.parametrize("layer", ["stem", "one.dw_conv", "one.act", "two.conv_pool"])
def test_a_wrong_weight_is_found_in_its_layer(conversion, network, ship, layer):
    shipped = ship(broken(network.weights, layer))
    with pytest.raises(ParityError, match=f"the first wrong value is that of '{layer}'") as caught:
        require(align(conversion, network, shipped, SAMPLE))
    assert caught.value.where == "ncnn"
    assert f"ncnn's {layer}" in caught.value.what


def test_layers_behind_a_wrong_one_are_not_at_fault(conversion, network, ship):
    alignment = align(conversion, network, ship(broken(network.weights, "one.act")), SAMPLE)
    wrong = [value for value in alignment.values if value.ncnn.kind]
    assert [value.module for value in wrong] == ["one.act"]
    behind = next(value for value in alignment.values if value.module == "two.dw_conv")
    assert behind.ncnn.carried.relative_l2 > 1e-3
    assert behind.ncnn.added.relative_l2 < 1e-5


def scaled(model, value):
    """The ONNX graph with the kernel of the convolution that computes a value made larger."""
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    node = next(node for node in proto.graph.node if node.output[0] == value)
    tensor = next(tensor for tensor in proto.graph.initializer if tensor.name == node.input[1])
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * np.float32(1.1), tensor.name))
    return replace(model, proto=proto)


@pytest.mark.parametrize(("first", "hop"), [(0, "torch -> ONNX"), (1, "ONNX -> simplified ONNX")])
def test_a_wrong_weight_in_onnx_is_found_in_its_hop(conversion, network, ship, first, hop):
    """From that hop on, as if the hop had made it."""
    values = {value.module: value.value for value in align(conversion, network, ship(), SAMPLE).values}
    onnx_models = tuple(
        (name, scaled(model, values["one.dw_conv"]) if index >= first else model)
        for index, (name, model) in enumerate(conversion.onnx)
    )
    with pytest.raises(ParityError, match=r"the first wrong value is that of 'one\.dw_conv'") as caught:
        require(align(replace(conversion, onnx=onnx_models), network, ship(), SAMPLE))
    assert caught.value.where == hop


def test_weights_in_fp16_have_their_own_tolerance(conversion, network, ship):
    rounded = to_fp16(network.param, network.weights)
    require(align(conversion, network, ship(rounded, "fp16-weights"), SAMPLE))
    with pytest.raises(ParityError):
        require(align(conversion, network, ship(rounded), SAMPLE))


class StripOfOneRow(nn.Module):
    """Pools maps of one row, along that row too: pnnx takes it for what it is, nothing to compute."""

    def __init__(self):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d((1, None))
        self.conv = nn.Conv2d(6, 4, 1)

    def forward(self, image):
        return self.conv(torch.cat([self.pool(image), image.relu()], dim=1))


def test_a_value_that_is_the_input_itself_needs_no_layer(tmp_path):
    shape = (1, 3, 1, 9)
    with Workers(120) as workers:
        made = convert(Opener(LoadedModel(StripOfOneRow(), "module", "")), (shape,), Progress(quiet=True), workers, 120)
    network = optimise(made.ncnn)[0]
    assert "in0" in {tap.blob for tap in network.tapped if tap.name == "pool"}
    shipped = Shipped("ncnn", tmp_path / "net.param", tmp_path / "net.bin", "fp32")
    shipped.param.write_text(network.param.text(), encoding="utf-8")
    shipped.bin.write_bytes(write_weights(network.weights))
    alignment = require(align(made, network, shipped, {"image": noise(shape)}))
    assert all(value.ncnn.blob != "in0" for value in alignment.values)
