from __future__ import annotations

from dataclasses import replace

import ncnn
import numpy as np
import pytest
import torch
from converted_nets import NAMES, LeftOver, TimesConstant, export, pnnx
from hypothesis import given
from hypothesis import strategies as st

from dwca_export.errors import ConversionError
from dwca_export.ncnn.param import Param
from dwca_export.ncnn.weights import Weight, check_weights, read_weights, to_fp16, write_weights


def read(net):
    param = Param.parse(net.param)
    return param, read_weights(param, net.fp32)


def by_type(param, weights):
    """The layers' tensors by `type.name`, for networks that have each type once."""
    types = {layer.name: layer.type for layer in param.layers}
    return {f"{types[weight.layer]}.{weight.name}": weight.data for weight in weights}


def changed(weights, index, **fields):
    return tuple(replace(weight, **fields) if i == index else weight for i, weight in enumerate(weights))


# What pnnx writes


@pytest.mark.parametrize("name", NAMES)
def test_pnnx_bins_come_back_byte_for_byte(converted, name):
    net = converted(name)
    param = Param.parse(net.param)
    for data in (net.fp32, net.fp16):
        assert write_weights(read_weights(param, data)) == data


@pytest.mark.parametrize("name", NAMES)
def test_fp16_is_what_pnnx_writes(converted, name):
    net = converted(name)
    param, weights = read(net)
    halves = to_fp16(param, weights)
    assert write_weights(halves) == net.fp16
    assert to_fp16(param, halves) == halves


def test_fp16_padding_is_exercised(converted):
    param, weights = read(converted("convolutions_2d"))
    assert {weight.padding for weight in to_fp16(param, weights)} == {b"", b"\x83\x22"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "rounding"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_ncnn_loads_what_we_write(converted, name, precision, tmp_path):
    param, weights = read(converted(name))
    weights = weights if precision == "fp32" else to_fp16(param, weights)
    (tmp_path / "net.param").write_text(param.text())
    (tmp_path / "net.bin").write_bytes(write_weights(weights))
    net = ncnn.Net()
    assert net.load_param(str(tmp_path / "net.param")) == 0
    assert net.load_model(str(tmp_path / "net.bin")) == 0


def test_convolution_weights_are_those_of_torch(converted):
    net = converted("convolutions_2d")
    found, module = by_type(*read(net)), net.module
    depthwise = [weight for weight in read(net)[1] if weight.shape == (7, 1, 3, 3)]
    # Grouped deconvolutions: torch has (inputs, outputs per group, h, w), ncnn (outputs, inputs per group, h, w).
    expected = {
        "Convolution.weight": module.dense.weight,
        "Convolution.bias": module.dense.bias,
        "ConvolutionDepthWise.bias": module.grouped.bias,
        "BatchNorm.slope": module.norm.weight,
        "BatchNorm.mean": module.norm.running_mean,
        "BatchNorm.var": module.norm.running_var,
        "BatchNorm.bias": module.norm.bias,
        "PReLU.slope": module.slope.weight,
        "Deconvolution.weight": module.transposed.weight.transpose(0, 1),
        "Deconvolution.bias": module.transposed.bias,
        "DeconvolutionDepthWise.weight": module.transposed_grouped.weight.reshape(10, 1, 3, 3),
    }
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor.detach().numpy(), err_msg=name)
    np.testing.assert_array_equal(depthwise[0].data, module.depthwise.weight.detach().numpy())


def test_other_weights_are_those_of_torch(converted):
    norms, rows, recurrent = converted("norms"), converted("rows"), converted("recurrent")
    found = by_type(*read(norms)) | by_type(*read(recurrent))
    expected = {
        "GroupNorm.gamma": norms.module.group.weight,
        "GroupNorm.beta": norms.module.group.bias,
        "LayerNorm.gamma": norms.module.layer.weight,
        "RMSNorm.gamma": norms.module.rms.weight,
        "Embed.weight": recurrent.module.embed.weight,
        "GRU.weight_xc": recurrent.module.gru.weight_ih_l0[None],
        "GRU.weight_hc": recurrent.module.gru.weight_hh_l0[None],
        "RNN.weight_xc": recurrent.module.rnn.weight_ih_l0[None],
        "RNN.bias_c": (recurrent.module.rnn.bias_ih_l0 + recurrent.module.rnn.bias_hh_l0)[None, None],
    }
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor.detach().numpy(), err_msg=name)
    gemm = [weight.data for weight in read(rows)[1]]
    np.testing.assert_array_equal(gemm[0], rows.module.first.weight.detach().numpy())
    np.testing.assert_array_equal(gemm[1][0], rows.module.first.bias.detach().numpy())
    np.testing.assert_array_equal(gemm[3], rows.module.matrix.numpy().T)


def test_attention_weights_are_those_of_torch(converted):
    net = converted("attention")
    weights = read(net)[1]
    module = net.module.biased
    joined = np.concatenate([weight.data for weight in weights[:6:2]])
    np.testing.assert_array_equal(joined, module.in_proj_weight.detach().numpy())
    np.testing.assert_array_equal(weights[6].data, module.out_proj.weight.detach().numpy())
    assert not weights[9].data.any()  # the second one has no biases


def test_constants_are_those_of_torch(converted):
    net = converted("constants")
    found = {(weight.storage, weight.data.size): weight.data for weight in read(net)[1]}
    np.testing.assert_array_equal(found["raw", 3].ravel(), net.module.factor.numpy().ravel())
    np.testing.assert_array_equal(found["raw", 60].ravel(), net.module.term.numpy().ravel())
    np.testing.assert_array_equal(found["raw8", 20].ravel(), net.module.mask.numpy().ravel())


def test_arrays_cannot_be_written_to(converted):
    param, weights = read(converted("single_channel"))
    for weight in (*weights, *to_fp16(param, weights)):
        assert not weight.data.flags.writeable


# fp16


@pytest.mark.parametrize("value", [65520.0, -65520.0, 1e6, -3e38])
def test_fp16_overflow_is_refused(converted, value):
    param, weights = read(converted("one_row"))
    data = weights[0].data.copy()
    data[1, 2] = value
    with pytest.raises(ConversionError, match=rf"layer {weights[0].layer}: weight holds {value:.0f}|e\+"):
        to_fp16(param, changed(weights, 0, data=data))


def test_fp16_keeps_the_largest_values_and_infinities(converted):
    param, weights = read(converted("one_row"))
    data = np.zeros_like(weights[0].data)
    data[0, :4] = [65519.996, -65504, np.inf, -np.inf]
    halves = to_fp16(param, changed(weights, 0, data=data))
    np.testing.assert_array_equal(halves[0].data[0, :4], np.array([65504, -65504, np.inf, -np.inf], np.float16))


def test_fp16_leaves_raw_values_alone(converted):
    param, weights = read(converted("one_row"))
    big = np.full_like(weights[1].data, 1e6)
    assert (weights[1].name, weights[1].storage) == ("bias", "raw")
    np.testing.assert_array_equal(to_fp16(param, changed(weights, 1, data=big))[1].data, big)


# Refusing


@given(st.data())
def test_a_bin_that_is_cut_off_is_refused_where_it_ends(converted, data):
    net = converted("single_channel")
    param, weights = read(net)
    length = data.draw(st.integers(0, len(net.fp32) - 1))
    ends = np.cumsum([len(write_weights([weight])) for weight in weights])
    cut = weights[int(np.searchsorted(ends, length, side="right"))]
    with pytest.raises(ConversionError, match=f"layer {cut.layer}: ") as error:
        read_weights(param, net.fp32[:length])
    assert cut.name in str(error.value)


@pytest.mark.parametrize("name", ["single_channel", "convolutions_2d", "attention"])
@pytest.mark.parametrize("more", [1, 4, 400])
def test_a_bin_with_more_is_refused(converted, name, more):
    net = converted(name)
    param, weights = read(net)
    with pytest.raises(ConversionError, match=f"{more} bytes behind .* of layer {weights[-1].layer}, the last"):
        read_weights(param, net.fp32 + bytes(more))


def test_a_bin_for_a_param_without_weights_is_refused():
    param = Param.parse("7767517\n1 1\nInput in0 0 1 in0\n")
    assert read_weights(param, b"") == ()
    with pytest.raises(ConversionError, match="4 bytes"):
        read_weights(param, bytes(4))


@pytest.mark.parametrize("tag", [1, 0x01306B46, 0x0002C056, 0xFFFFFFFF, 0x476B3001])
def test_unknown_storage_tags_are_refused(converted, tag):
    net = converted("convolutions_2d")
    param, weights = read(net)
    with pytest.raises(ConversionError, match=f"layer {weights[0].layer}: weight starts with .* no known storage tag"):
        read_weights(param, tag.to_bytes(4, "little") + net.fp32[4:])


def test_the_bin_of_another_param_is_refused(converted):
    with pytest.raises(ConversionError, match="layer"):
        read_weights(Param.parse(converted("one_row").param), converted("single_channel").fp32)


@pytest.mark.parametrize("dtype", [torch.float64, torch.uint8, torch.int16, torch.bfloat16])
def test_constants_of_types_that_ncnn_lacks_are_refused(dtype, tmp_path):
    x = torch.rand(2, 3, 5)
    param, data = pnnx(export(TimesConstant(dtype), x, tmp_path), x)
    with pytest.raises(ConversionError, match="layer constant"):
        read_weights(Param.parse(param), data)


def test_what_pnnx_leaves_over_is_refused(tmp_path):
    x = torch.rand(2, 3, 5)
    param, data = pnnx(export(LeftOver(), x, tmp_path), x)
    with pytest.raises(ConversionError, match=r"layer Tensor\.to_0: Tensor\.to is no layer type of ncnn"):
        read_weights(Param.parse(param), data)


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda weights: weights[:-1], "layer .*: weight is wanted, nothing comes"),
        (lambda weights: (*weights, weights[-1]), "layer .*: weight .* is one too many"),
        (lambda weights: weights[::-1], "is wanted, .* comes"),
        (lambda weights: changed(weights, 0, name="bias"), "weight is wanted, bias of"),
        (lambda weights: changed(weights, 0, layer="x"), "weight is wanted, weight of x comes"),
        (lambda weights: changed(weights, 0, data=weights[0].data.T), "weight is fp32"),
        (lambda weights: changed(weights, 0, storage="raw"), "weight is raw"),
        (lambda weights: changed(weights, 1, storage="fp32"), "bias is fp32"),
    ],
)
def test_weights_that_do_not_fit_the_param_are_refused(converted, break_, message):
    param, weights = read(converted("one_row"))
    check_weights(param, weights)
    for use in (check_weights, to_fp16):
        with pytest.raises(ConversionError, match=message):
            use(param, break_(weights))


@pytest.mark.parametrize(
    ("storage", "dtype", "padding"),
    [("fp32", "<f2", b""), ("fp16", "<f4", b""), ("raw", "<f8", b""), ("fp16", "<f2", b""), ("raw", "<f4", b"\0\0")],
)
def test_weights_that_do_not_fit_their_storage_are_not_written(storage, dtype, padding):
    weight = Weight("conv", "weight", storage, np.zeros(3, dtype), padding)
    with pytest.raises(ConversionError, match="layer conv: weight is not"):
        write_weights([weight])
