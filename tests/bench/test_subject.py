"""Depthwise layers found in a network, and refused where they are too large."""

from __future__ import annotations

import numpy as np
import pytest

from dwca_export import kernels
from dwca_export.bench.subject import MAX_VALUES, Subject, is_depthwise, of_network, of_shape
from dwca_export.errors import InputRefusedError
from dwca_export.ncnn.param import Layer, Param
from dwca_export.ncnn.weights import Weight

C = 8
SHAPES = {"in0": (C, 12, 10)}


def line(name="dw", **changes):
    """Parameters by `_id`; a depthwise 3x3 layer unless said otherwise."""
    params = {0: C, 1: 3, 4: 1, 6: C * 9, 7: C} | {int(key[1:]): value for key, value in changes.items()}
    return Layer("ConvolutionDepthWise", name, ("in0",), (name,)).with_params(params)


def weights(name="dw", kernel=3, fill=1.0, bias=False):
    found = [Weight(name, "weight", "fp32", np.full((C, 1, kernel, kernel), fill, np.float32))]
    return [*found, Weight(name, "bias", "raw", np.arange(C, dtype=np.float32))] if bias else found


def network(*lines):
    return Param((Layer("Input", "in0", (), ("in0",)), *lines))


def only(one_line, tensors=None):
    found, passed_over = of_network(network(one_line), tensors or weights(), SHAPES)
    assert not passed_over
    (subject,) = found
    return subject


def test_the_shape_and_the_weights_are_those_of_the_network():
    subject = only(line(_5=1, _3=2, _9=1), weights(bias=True, fill=2.0))
    assert subject.layer == kernels.Layer(C, 12, 10, 3, stride=2, padding=(1, 1, 1, 1), bias=True, activation="relu")
    assert np.array_equal(subject.weight, np.full((C, 3, 3), 2.0))
    assert np.array_equal(subject.bias, np.arange(C))
    assert subject.sources == ("dw",)


def test_uneven_padding_keeps_its_sides():
    assert only(line(_4=1, _15=2, _14=0, _16=3)).layer.padding == (0, 3, 1, 2)


@pytest.mark.parametrize(
    ("params", "activation"),
    [
        ({}, "none"),
        ({"_9": 1}, "relu"),
        ({"_9": 3, "_10": (0.0, 6.0)}, "relu6"),
        ({"_9": 6, "_10": (1 / 6, 0.5)}, "hardswish"),
    ],
)
def test_fused_activations(params, activation):
    assert only(line(**params)).layer.activation == activation


def test_bf16_weights_are_read():
    bits = np.full((C, 1, 3, 3), 0x4000, np.uint16)  # 2.0
    assert (only(line(), [Weight("dw", "weight", "bf16", bits)]).weight == 2.0).all()


def test_layers_of_one_shape_are_measured_once():
    lines = [line("a"), line("b"), line("c", _3=2)]
    tensors = [tensor for name, fill in (("a", 1.0), ("b", 5.0), ("c", 1.0)) for tensor in weights(name, fill=fill)]
    shapes = SHAPES | {"a": (C, 12, 10)}
    found, _ = of_network(network(*lines), tensors, shapes)
    assert [subject.sources for subject in found] == [("a", "b"), ("c",)]
    assert (found[0].weight == 1.0).all()


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"_11": 1, "_6": C * 3}, "not square"),
        ({"_13": 2}, "its stride is 2 by 1"),
        ({"_12": 2}, "its dilation is 2 by 1"),
        ({"_9": 2, "_10": (0.1,)}, "activation 2"),
        ({"_4": -233}, "follows from the size"),
        ({"_18": 1.0}, "not filled with zeros"),
        ({"_8": 1}, "8 bits"),
    ],
)
def test_what_our_kernels_cannot_compute_is_passed_over_and_said(params, reason):
    found, passed_over = of_network(network(line(**params)), weights(), SHAPES)
    assert found == ()
    assert len(passed_over) == 1
    assert reason in passed_over[0]
    assert passed_over[0].startswith("dw: ")


def test_other_convolutions_are_left_alone():
    assert not is_depthwise(Layer("Convolution", "dense", ("in0",), ("out0",)))
    assert not is_depthwise(line(_7=4, _6=C * 2 * 9))  # groups of two channels
    assert not is_depthwise(line(_0=2 * C, _6=2 * C * 9))  # two filters for a channel
    assert not is_depthwise(line(_19=1))  # weights from a blob
    assert is_depthwise(line())


def test_random_weights_are_the_same_each_time():
    layer = kernels.Layer(C, 5, 5, bias=True)
    first, second = of_shape(layer), of_shape(layer)
    assert np.array_equal(first.weight, second.weight)
    assert first.bias.shape == (C,)
    assert of_shape(kernels.Layer(C, 5, 5)).bias is None


@pytest.mark.parametrize("size", [(1, 1 << 13, 1 << 12), (1 << 16, 1 << 5, 1 << 5)])
def test_huge_layers_are_refused_with_the_limit(size):
    with pytest.raises(InputRefusedError, match=f"the limit is {MAX_VALUES}"):
        of_shape(kernels.Layer(*size))


def test_a_huge_output_is_refused():
    with pytest.raises(InputRefusedError, match="the output has"):
        of_shape(kernels.Layer(1, 1, 1, 3, padding=(2500,) * 4))


def test_huge_kernels_are_refused():
    with pytest.raises(InputRefusedError, match="the limit is 31x31"):
        of_shape(kernels.Layer(1, 99, 99, 33))


def test_labels_tell_layers_apart():
    shapes = [
        {},
        {"padding": (1, 2, 2, 2)},
        {"dilation": 2},
        {"bias": True},
        {"activation": "relu"},
        {"padding": (0, 0, 0, 0), "bias": True},
    ]
    labels = [Subject(kernels.Layer(8, 9, 9, 5, **shape), np.zeros(0)).label for shape in shapes]
    assert len(set(labels)) == len(labels)
    assert labels[0] == "8x9x9 k5 s1"
