"""Copies of a piece of a network, and the time of one as the slope over their number."""

from __future__ import annotations

import numpy as np
import pytest

from dwca_export.bench import slope as module
from dwca_export.bench.copies import INPUT, OUTPUT, Piece, alone, chained, side_by_side
from dwca_export.bench.slope import OpenNet, Setting, Slope, slope
from dwca_export.errors import ConversionError, UsageError
from dwca_export.ncnn.param import Layer, Param
from dwca_export.ncnn.weights import Weight, check_weights

CHANNELS = 8


def depthwise(kernel=3, stride=1, padding=None, centre=1.0):
    """A depthwise layer that hardly changes what it reads, so that a chain of them neither vanishes nor explodes."""
    weight = np.random.default_rng(0).standard_normal((CHANNELS, 1, kernel, kernel), np.float32) * np.float32(1e-3)
    weight[:, :, kernel // 2, kernel // 2] = centre
    padding = kernel // 2 if padding is None else padding
    params = {0: CHANNELS, 1: kernel, 3: stride, 4: padding, 6: weight.size, 7: CHANNELS}
    layer = Layer("ConvolutionDepthWise", "dw", (INPUT,), (OUTPUT,)).with_params(params)
    return Piece((layer,), (Weight("dw", "weight", "fp32", weight),), CHANNELS)


def two_layers():
    """A piece with a blob inside."""
    first = depthwise()
    inner = Layer("ConvolutionDepthWise", "dw", (INPUT,), ("between",), first.layers[0].params)
    return Piece((inner, Layer("HardSwish", "act", ("between",), (OUTPUT,))), first.weights, CHANNELS)


def inputs(size=10):
    return np.random.default_rng(1).standard_normal((CHANNELS, size, size), np.float32)


def infer(network, array, setting=None):
    param = Param(network.layers)
    param.check()
    check_weights(param, network.weights)
    net = OpenNet(network, array, setting or Setting())
    try:
        return net.infer()
    finally:
        net.close()


@pytest.mark.parametrize("piece", [depthwise(), depthwise(5, 2), depthwise(3, 1, 0), two_layers()])
@pytest.mark.parametrize("copies", [1, 3])
def test_each_copy_computes_what_the_piece_does(piece, copies):
    array = inputs()
    first_pixel = infer(alone(piece), array)[:, :1, :1]
    assert np.array_equal(infer(side_by_side(piece, copies), array), np.tile(first_pixel, (copies, 1, 1)))


def test_a_bare_network_has_the_branches_alone():
    array = inputs()
    network = side_by_side(Piece((), (), CHANNELS), 3)
    assert {layer.type for layer in network.layers} == {"Input", "Split", "Crop", "Concat"}
    assert np.array_equal(infer(network, array), np.tile(array[:, :1, :1], (3, 1, 1)))


def test_a_chain_runs_the_copies_one_behind_the_other():
    array, piece = inputs(), depthwise(5)
    twice = infer(alone(piece), infer(alone(piece), array))
    assert np.array_equal(infer(chained(piece, 2), array), twice[:, :1, :1])


def test_the_numbers_in_a_long_chain_stay_normal():
    output = infer(chained(depthwise(5), 64), inputs())
    assert np.isfinite(output).all()
    assert np.abs(output).min() > np.finfo(np.float32).tiny


def test_the_slope_leaves_what_happens_once_out():
    once, branch, layer = 0.5, 0.25, 2.0
    whole = (once + 2 * (branch + layer), once + 10 * (branch + layer))
    bare = (once + 2 * branch, once + 10 * branch)
    assert slope(whole, bare, 8) == layer


@pytest.mark.parametrize("in_chain", [True, False])
def test_as_many_copies_as_asked_for(in_chain):
    with Slope(depthwise(), inputs(), Setting(), in_chain=in_chain, more=5) as timed:
        assert timed.more == 5
        assert timed.seconds() > 0


def test_a_small_piece_gets_more_copies():
    with Slope(depthwise(), inputs(4), Setting()) as timed:
        assert module.FEWEST < timed.more <= module.MOST


@pytest.mark.parametrize("in_chain", [True, False])
def test_what_no_number_of_copies_makes_longer_is_refused(monkeypatch, in_chain):
    with Slope(depthwise(), inputs(), Setting(), in_chain=in_chain, more=2) as timed:
        monkeypatch.setattr(OpenNet, "seconds", lambda self: 1.0)
        with pytest.raises(ConversionError, match="takes no longer"):
            timed.seconds()


def test_an_unknown_mode_is_refused():
    with pytest.raises(UsageError, match="no precision mode 'fp8'"):
        infer(alone(depthwise()), inputs(), Setting(mode="fp8"))


def test_a_network_that_ncnn_does_not_know_is_refused():
    piece = Piece((Layer("NoSuchLayer", "none", (INPUT,), (OUTPUT,)),), (), CHANNELS)
    with pytest.raises(ConversionError, match="does not load"):
        OpenNet(alone(piece), inputs(), Setting())
