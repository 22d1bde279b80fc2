from __future__ import annotations

import ncnn
import numpy as np
import pytest

from dwca_export.errors import ConversionError
from dwca_export.ncnn.layouts import SLOTS, WEIGHTLESS, slots
from dwca_export.ncnn.param import Param
from dwca_export.ncnn.weights import DTYPES, Weight, read_weights, write_weights

# What a layer of each type and variant reads, for ncnn to confirm.
CASES = {
    "BatchNorm": "0=5",
    "Bias": "0=5",
    "Convolution": "0=3 1=3 11=2 5=1 6=36",
    "Convolution int8": "0=3 1=3 11=2 5=1 6=36 8=2",
    "Convolution requantised": "0=3 1=3 11=2 6=36 8=102",
    "Convolution dynamic": "0=3 1=3 11=2 5=1 6=36 19=1",
    "Convolution1D": "0=3 1=3 5=1 6=18",
    "Convolution1D dynamic": "0=3 1=3 5=1 6=18 19=1",
    "Convolution3D": "0=3 1=3 11=2 21=1 5=1 6=36",
    "ConvolutionDepthWise": "0=4 1=3 5=1 6=36 7=4",
    "ConvolutionDepthWise int8": "0=4 1=3 5=1 6=36 7=4 8=1",
    "ConvolutionDepthWise int8 shared": "0=4 1=3 5=1 6=36 7=4 8=2",
    "ConvolutionDepthWise requantised": "0=4 1=3 5=1 6=36 7=4 8=101",
    "ConvolutionDepthWise dynamic": "0=4 1=3 5=1 6=36 7=4 19=1",
    "ConvolutionDepthWise1D": "0=4 1=3 5=1 6=12 7=4",
    "ConvolutionDepthWise3D": "0=4 1=3 5=1 6=108 7=4",
    "Deconvolution": "0=3 1=3 5=1 6=54",
    "Deconvolution dynamic": "0=3 1=3 5=1 6=54 28=1",
    "Deconvolution1D": "0=3 1=3 5=1 6=18",
    "Deconvolution3D": "0=3 1=3 11=1 21=1 5=1 6=18",
    "DeconvolutionDepthWise": "0=4 1=3 5=1 6=36 7=4",
    "DeconvolutionDepthWise1D": "0=4 1=3 5=1 6=12 7=4",
    "DeconvolutionDepthWise3D": "0=4 1=3 5=1 6=108 7=4",
    "DeformableConv2D": "0=3 1=3 5=1 6=54",
    "Dequantize": "0=5 1=5",
    "Dequantize plain": "",
    "Embed": "0=3 1=7 2=1 3=21",
    "Embed int8": "0=3 1=7 2=0 3=21 18=2",
    "GRU": "0=3 1=45 2=0",
    "GRU both ways": "0=3 1=90 2=2",
    "GRU int8": "0=3 1=45 2=0 8=2",
    "Gemm": "2=0 3=1 4=0 5=1 6=1 7=4 8=5 9=3 10=4",
    "Gemm untransposed": "2=0 3=0 4=0 5=1 6=1 7=0 8=5 9=3 10=-1",
    "Gemm all constant": "2=1 3=0 4=1 5=1 6=1 7=4 8=5 9=3 10=3",
    "Gemm scalar": "4=0 5=0 6=1 7=4 8=5 9=3 10=0",
    "Gemm column": "4=0 5=0 6=1 7=4 8=5 9=3 10=1",
    "Gemm rows": "4=0 5=0 6=1 7=4 8=5 9=3 10=2",
    "Gemm none": "",
    "Gemm int8": "2=0 3=1 4=0 5=1 6=1 7=4 8=5 9=3 10=4 18=2",
    "Gemm int8 both": "2=0 3=1 4=1 5=1 6=0 7=4 8=5 9=3 18=2",
    "GroupNorm": "0=2 1=6",
    "GroupNorm plain": "0=2 1=6 3=0",
    "InnerProduct": "0=3 1=1 2=15",
    "InnerProduct int8": "0=3 1=1 2=15 8=2",
    "InstanceNorm": "0=6",
    "InstanceNorm plain": "0=6 2=0",
    "LSTM": "0=3 1=60 2=0",
    "LSTM both ways": "0=3 1=120 2=2",
    "LSTM projected": "0=3 1=100 2=0 3=5",
    "LSTM int8": "0=3 1=60 2=0 8=2",
    "LayerNorm": "0=6",
    "LayerNorm plain": "0=6 2=0",
    "MemoryData": "0=5",
    "MemoryData 2d": "0=5 1=3",
    "MemoryData 3d": "0=5 1=3 2=2",
    "MemoryData 4d": "0=5 1=3 11=2 2=2",
    "MemoryData tagged": "0=5 1=3 21=0",
    "MemoryData bool": "0=5 1=3 21=3",
    "MemoryData nothing": "",
    "MultiHeadAttention": "0=6 1=2 2=36",
    "MultiHeadAttention mixed": "0=6 1=2 2=24 3=5 4=7",
    "MultiHeadAttention int8": "0=6 1=2 2=36 18=2",
    "Normalize": "0=0 1=0 3=5",
    "PReLU": "0=5",
    "Padding": "0=1 1=1 6=5",
    "Padding plain": "0=1 1=1",
    "Quantize": "0=5",
    "Quantize plain": "",
    "RMSNorm": "0=6",
    "RMSNorm plain": "0=6 2=0",
    "RNN": "0=3 1=15 2=0",
    "RNN both ways": "0=3 1=30 2=2",
    "RNN int8": "0=3 1=15 2=0 8=2",
    "Requantize": "0=5 1=5 2=5",
    "Requantize plain": "",
    "Scale": "0=5 1=1",
    "Scale from a blob": "0=-233 1=1",
}
SENTINEL = np.array([101, 102, 103], np.float32)


def param_of(layer_type, params):
    bottoms = "0 1 x" if layer_type == "MemoryData" else "1 1 in0 x"
    lines = ["Input in0 0 1 in0", f"{layer_type} tested {bottoms} {params}", "MemoryData behind 0 1 behind 0=3"]
    return Param.parse("7767517\n3 3\n" + "".join(f"{line}\n" for line in lines))


def weights_for(param, storage):
    """Weights as the layer wants them, the tagged ones kept as `storage`, and the sentinel."""
    weights = []
    for slot in slots(param.layers[1]):
        kept = storage if slot.kept == "tagged" else slot.kept
        data = np.ones(slot.shape, DTYPES[kept])
        weights.append(Weight("tested", slot.name, kept, data, bytes(-data.nbytes % 4)))
    return [*weights, Weight("behind", "data", "raw", SENTINEL)]


def read_behind(tmp_path, param, data):
    """What ncnn reads for the constant behind the tested layer."""
    (tmp_path / "net.param").write_text(param.text())
    (tmp_path / "net.bin").write_bytes(data)
    net = ncnn.Net()
    assert net.load_param(str(tmp_path / "net.param")) == 0
    assert net.load_model(str(tmp_path / "net.bin")) == 0
    status, mat = net.create_extractor().extract("behind")
    assert status == 0
    return np.array(mat)


def is_quantised(name):
    return "int8" in name or "requantised" in name


@pytest.mark.parametrize("name", CASES)
def test_ncnn_reads_what_we_say(name, tmp_path):
    param = param_of(name.split()[0], CASES[name])
    data = write_weights(weights_for(param, "int8" if is_quantised(name) else "fp32"))
    np.testing.assert_array_equal(read_behind(tmp_path, param, data), SENTINEL)
    assert write_weights(read_weights(param, data)) == data


@pytest.mark.parametrize("storage", ["fp32", "fp16", "bf16"])
def test_ncnn_knows_our_storage_tags(storage, tmp_path):
    param = param_of("MemoryData", "0=5 1=3 21=0")
    data = write_weights(weights_for(param, storage))
    np.testing.assert_array_equal(read_behind(tmp_path, param, data), SENTINEL)
    assert [weight.storage for weight in read_weights(param, data)] == [storage, "raw"]


@pytest.mark.parametrize(
    ("params", "shapes"),
    [
        ("2=0 4=1 7=4 9=3", {"A": (4, 3)}),
        ("2=1 4=1 7=4 9=3", {"A": (3, 4)}),
        ("3=0 5=1 8=5 9=3", {"B": (3, 5)}),
        ("3=1 5=1 8=5 9=3", {"B": (5, 3)}),
        ("6=1 7=4 8=5 10=3", {"C": (4, 5)}),
        ("6=1 7=4 8=5 10=2", {"C": (4, 1)}),
        ("6=1 7=4 8=5 10=4", {"C": (1, 5)}),
    ],
)
def test_constants_of_gemm_are_stored_as_they_are_used(params, shapes):
    assert {slot.name: slot.shape for slot in slots(param_of("Gemm", params).layers[1])} == shapes


def test_every_row_has_a_case():
    assert {name.split()[0] for name in CASES} == set(SLOTS)


def test_the_two_lists_are_all_layer_types_of_ncnn():
    assert not set(SLOTS) & WEIGHTLESS
    indices = sorted(ncnn.layer_to_index(name) for name in [*SLOTS, *WEIGHTLESS])
    assert indices == list(range(len(indices)))
    assert ncnn.create_layer(len(indices)) is None


@pytest.mark.parametrize("name", ["Tensor.to", "pnnx.Expression", "F.affine_grid", "Convolution2D", "convolution"])
def test_types_that_ncnn_does_not_know_are_refused(name):
    with pytest.raises(ConversionError, match=rf"layer tested: {name} is no layer type"):
        slots(param_of(name, "").layers[1])


@pytest.mark.parametrize(
    ("layer_type", "params", "message"),
    [
        ("Convolution", "0=3 1=3 6=37", "do not divide"),
        ("Convolution", "0=3 1=3 6=0", "do not divide"),
        ("Convolution", "0=0 1=3 6=27", "do not divide"),
        ("Convolution", "0=3 1=3 6=27 8=7", "int8_scale_term 7"),
        ("Convolution", "0=3 1=3 6=27.0", "not an integer"),
        ("InnerProduct", "0=4 2=6", "do not divide"),
        ("BatchNorm", "0=0", r"shape \(0,\)"),
        ("PReLU", "0=-1", r"shape \(-1,\)"),
        ("LSTM", "0=3 1=61", "do not divide"),
        ("Gemm", "5=1 8=0 9=3", r"shape \(3, 0\)"),
        ("Gemm", "6=1 7=4 8=5 10=9", "broadcast type 9"),
        ("Gemm", "4=0 5=1 3=1 7=4 8=5 9=64 18=404", "quantize_term 404"),
        ("MultiHeadAttention", "0=6 1=2 2=36 18=4", "quantize_term 4"),
        ("MemoryData", "0=5 21=2", "load type 2"),
        ("MemoryData", "1=5", r"shape \(5, 0\)"),
    ],
)
def test_parameters_that_admit_no_weights_are_refused(layer_type, params, message):
    with pytest.raises(ConversionError, match=message) as error:
        slots(param_of(layer_type, params).layers[1])
    assert "tested" in str(error.value)
