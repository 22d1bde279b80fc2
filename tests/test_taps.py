"""Taps find values again in ncnn, and do not change what pnnx makes of a graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hop_nets import NETS, rewritten
from small_graphs import noise, onnx_model, proto, run_ncnn, run_ort

from dwca_export import to_ncnn as hop
from dwca_export.optimise import optimise
from dwca_export.taps import choose_taps, with_taps
from dwca_export.to_ncnn import to_ncnn


def layers(model):
    """Types and parameters in order: all but the names."""
    return [(layer.type, dict(layer.params)) for layer in model.param.layers]


@pytest.mark.parametrize("name", NETS)
def test_pnnx_makes_the_same_of_a_tapped_graph(name, monkeypatch):
    model = rewritten(name)
    tapped = to_ncnn(model)
    monkeypatch.setattr(hop, "choose_taps", lambda model: {})
    plain = to_ncnn(model)
    assert plain.taps == ()
    assert layers(optimise(tapped)[0]) == layers(optimise(plain)[0])
    if tapped.taps:
        assert_taps_are_right(model, tapped)


def assert_taps_are_right(model, converted):
    """Each tapped blob holds the value that its name says."""
    taps = choose_taps(model)
    assert converted.taps == tuple(taps.values())
    feeds = noise({spec.name: spec.shape for spec in model.inputs})
    values = run_ort(with_taps(model, taps), feeds)
    count = len(model.outputs)
    blobs = [f"out{index}" for index in range(count, count + len(taps))]
    for blob, (value, name) in zip(
        run_ncnn(converted, feeds, blobs).values() if blobs else (), taps.items(), strict=True
    ):
        np.testing.assert_allclose(blob, values[value][0], rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_dwca_block_is_tapped_at_every_step():
    names = set(choose_taps(rewritten("dwca")).values())
    steps = ("dw_conv", "act", "pool_h", "pool_w", "conv_pool", "act#2", "sigmoid", "sigmoid#2")
    assert {f"{block}.{step}" for block in (1, 2, 3) for step in steps} <= names
    assert {"1", "2"} <= names  # what the blocks return; the last one is the network's output


def test_taps_come_after_the_outputs_in_order():
    model = rewritten("look-alikes")
    taps = choose_taps(model)
    assert taps
    outputs = [value.name for value in with_taps(model, taps).graph.output]
    assert outputs == [*(spec.name for spec in model.outputs), *taps]
    assert [value.name for value in model.proto.graph.output] == [spec.name for spec in model.outputs]


CHAIN = {
    "an activation behind": [("Conv", ["x", "w"], ["t"], {}), ("Relu", ["t"], ["y"], {})],
    "a normalisation behind": [
        ("Conv", ["x", "w"], ["t"], {}),
        ("BatchNormalization", ["t", "v", "v", "v", "v"], ["y"], {}),
    ],
    "a constant factor behind": [("Conv", ["x", "w"], ["t"], {}), ("Mul", ["t", "k"], ["y"], {})],
    "a constant factor": [("Mul", ["x", "k"], ["t"], {}), ("MaxPool", ["t"], ["y"], {"kernel_shape": [1, 1]})],
    "the gate of a value with itself": [("Sigmoid", ["x"], ["t"], {}), ("Mul", ["x", "t"], ["y"], {})],
    "inside an expression": [("Add", ["x", "x"], ["t"], {}), ("Mul", ["t", "x"], ["y"], {})],
    "no producer": [("Softmax", ["x"], ["t"], {"axis": 1}), ("Conv", ["t", "w"], ["y"], {})],
}


def chain(nodes):
    weights = {"w": np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1), "v": np.ones(4, np.float32), "k": np.float32(3)}
    return onnx_model(proto(nodes, {"x": (1, 4, 3, 3)}, {"y": (1, 4, 3, 3)}, weights))


@pytest.mark.parametrize("nodes", CHAIN.values(), ids=CHAIN)
def test_what_pnnx_would_fuse_is_not_tapped(nodes):
    assert choose_taps(chain(nodes)) == {}


def test_what_ends_a_pattern_is_tapped():
    assert choose_taps(chain([("Conv", ["x", "w"], ["t"], {}), ("Softmax", ["t"], ["y"], {"axis": 1})])) == {"t": "t"}


def test_values_without_name_or_shape_are_not_tapped():
    model = chain([("Conv", ["x", "w"], ["t"], {}), ("Softmax", ["t"], ["y"], {"axis": 1})])
    assert choose_taps(replace(model, scopes={})) == {}
    bare = onnx.ModelProto()
    bare.CopyFrom(model.proto)
    del bare.graph.value_info[:]
    assert choose_taps(replace(model, proto=bare)) == {}


def test_an_output_is_no_tap():
    model = chain([("Conv", ["x", "w"], ["y"], {}), ("Softmax", ["y"], ["z"], {"axis": 1})])
    assert choose_taps(model) == {}
