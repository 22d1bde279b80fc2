"""ncnn's stock depthwise layer: what it computes, and that Winograd is no part of it."""

from __future__ import annotations

import numpy as np
import pytest

from dwca_export import kernels
from dwca_export.bench.copies import chained
from dwca_export.bench.slope import MOST, SHORT, OpenNet, Setting
from dwca_export.bench.stock import dense_control, stock_output, stock_piece, stock_slope, tamed, uses_winograd


def tensors(layer):
    generator = np.random.default_rng(0)
    array = generator.standard_normal((layer.channels, layer.height, layer.width), np.float32)
    weight = generator.standard_normal((layer.channels, layer.kernel, layer.kernel), np.float32)
    bias = generator.standard_normal(layer.channels, np.float32) if layer.bias else None
    return array, weight, bias


@pytest.mark.parametrize(
    "layer",
    [
        kernels.Layer(16, 9, 7),
        kernels.Layer(16, 9, 7, 3, bias=True, activation="relu"),
        kernels.Layer(8, 12, 13, 5, stride=2, activation="relu6"),
        kernels.Layer(3, 12, 13, 7, activation="hardswish", bias=True),
        kernels.Layer(4, 12, 13, 3, dilation=2),
        kernels.Layer(4, 12, 13, 5, padding=(0, 1, 2, 3)),
        kernels.Layer(4, 12, 13, 5, padding=(0, 0, 0, 0)),
    ],
    ids=str,
)
@pytest.mark.parametrize("packing", [True, False])
def test_ncnn_computes_the_layer(layer, packing):
    array, weight, bias = tensors(layer)
    output = stock_output(stock_piece(layer, weight, bias), array, Setting(packing=packing))
    expected = kernels.reference(layer, array, weight, bias)
    assert output.shape == expected.shape
    assert np.allclose(output, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_has_no_winograd(kernel, stride):
    layer = kernels.Layer(64, 28, 28, kernel, stride)
    array, weight, bias = tensors(layer)
    assert uses_winograd(stock_piece(layer, weight, bias), array, Setting()) is False


def test_winograd_is_seen_where_it_is():
    assert uses_winograd(*dense_control(), Setting()) is True


@pytest.mark.parametrize(
    ("layer", "in_chain"),
    [
        (kernels.Layer(16, 14, 14), True),
        (kernels.Layer(16, 14, 14, 3, dilation=2, bias=True, activation="relu6"), True),
        (kernels.Layer(16, 14, 14, 5, padding=(4, 0, 1, 3)), True),
        (kernels.Layer(16, 14, 14, 5, stride=2), False),
        (kernels.Layer(16, 14, 14, 5, padding=(0, 0, 0, 0)), False),
    ],
    ids=str,
)
def test_the_layer_is_timed_by_itself(layer, in_chain):
    array, weight, bias = tensors(layer)
    with stock_slope(layer, weight, bias, array, Setting()) as timed:
        assert timed.in_chain == in_chain
        assert timed.seconds() > 0


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1.0, 1e20])
@pytest.mark.parametrize("activation", ["none", "relu", "hardswish"])
def test_the_numbers_in_a_chain_stay_normal(scale, activation):
    layer = kernels.Layer(16, 9, 9, 5, bias=True, activation=activation)
    array, weight, bias = tensors(layer)
    piece = stock_piece(layer, *tamed(layer, weight * np.float32(scale), bias))
    net = OpenNet(chained(piece, SHORT + MOST), np.abs(array), Setting())
    output = net.infer()
    net.close()
    assert np.isfinite(output).all()
    assert np.abs(output).min() > np.finfo(np.float32).tiny
