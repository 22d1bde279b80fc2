"""Which weights an ncnn layer reads from the bin, and in what order.

A bin has no directory: what a layer reads follows from its type and parameters (`load_param` and `load_model` of ncnn's
`src/layer/*.cpp`). `SLOTS` has a row for each layer type that reads something, `WEIGHTLESS` names all others; together
they are ncnn's layer types. A type in neither is refused, because everything behind it would be read wrongly.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal, TypeAlias

from dwca_export.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dwca_export.ncnn.param import Layer

    Row = Callable[[Layer], tuple["Slot", ...]]


Kept: TypeAlias = Literal["tagged", "raw", "raw8"]

FROM_BLOB = -233
"""ncnn's mark for a size that comes with a blob."""

LOAD_TYPES: Mapping[int, Kept] = {0: "tagged", 1: "raw", 3: "raw8"}

BIDIRECTIONAL = 2
FIRST_BLOCK_QUANTIZE_TERM = 400


@dataclass(frozen=True)
class Slot:
    """One tensor that a layer reads.

    Attributes:
        name: Its name in ncnn's source without `_data`.
        shape: C order, slowest dimension first.
        kept: `tagged`: a storage tag precedes it and says how it is kept (ncnn's load type 0); `raw`: bare float32
            (load type 1); `raw8`: bare bytes (load type 3).
    """

    name: str
    shape: tuple[int, ...]
    kept: Kept = "raw"


def slots(layer: Layer) -> tuple[Slot, ...]:
    """The tensors that `layer` reads from the bin, in order.

    Raises:
        ConversionError: The type is unknown to ncnn, or the parameters admit no weights.
    """
    if layer.type in WEIGHTLESS:
        return ()
    if layer.type not in SLOTS:
        raise ConversionError(
            f"{layer.type} is no layer type of ncnn: the converter left it over, or it is a custom layer",
            where=f"ncnn bin, layer {layer.name}",
            hint="nothing behind it in the bin can be read; rewrite the operation before the conversion",
        )
    found = SLOTS[layer.type](layer)
    for slot in found:
        if min(slot.shape) < 1:
            layer.refuse(f"its {slot.name} has the shape {slot.shape}")
    return found


def _vectors(size_id: int, *names: str, default: int = 0, affine_id: int | None = None) -> Row:
    """Bare vectors of one length, none where the layer's `affine` is 0."""

    def row(layer: Layer) -> tuple[Slot, ...]:
        if affine_id is not None and layer.int(affine_id, 1) == 0:
            return ()
        return tuple(Slot(name, (layer.int(size_id, default),)) for name in names)

    return row


def _convolution(n_dims: int, *, dynamic_id: int | None = None, int8: Row | None = None) -> Row:
    """Weight (outputs, inputs per group, [depth, [height,]] width) and bias; none where a blob brings the weights.

    Deconvolutions are laid out the same way: pnnx has transposed them.
    """

    def row(layer: Layer) -> tuple[Slot, ...]:
        if dynamic_id is not None and layer.int(dynamic_id, 0):
            return ()
        outputs, width = layer.int(0, 0), layer.int(1, 0)
        kernel = (layer.int(21, width), layer.int(11, width), width)[3 - n_dims :]
        shape = (outputs, _quotient(layer, layer.int(6, 0), outputs, *kernel), *kernel)
        quantised = int8(layer) if int8 is not None else ()
        return (Slot("weight", shape, kept="tagged"), *_bias(layer, 5, outputs), *quantised)

    return row


def _convolution_int8(layer: Layer) -> tuple[Slot, ...]:
    return (*_int8_scales(layer, layer.int(0, 0)), *_top_int8_scale(layer))


def _depthwise_int8(layer: Layer) -> tuple[Slot, ...]:
    per_group = layer.int(8, 0) in (1, 101)
    return (*_int8_scales(layer, layer.int(7, 1) if per_group else 1), *_top_int8_scale(layer))


def _int8_scales(layer: Layer, n_weight_scales: int) -> tuple[Slot, ...]:
    term = layer.int(8, 0)
    if term not in (0, 1, 2, 101, 102):
        layer.refuse(f"int8_scale_term {term} is unknown")
    return (Slot("weight_int8_scales", (n_weight_scales,)), Slot("bottom_int8_scale", (1,))) if term else ()


def _top_int8_scale(layer: Layer) -> tuple[Slot, ...]:
    return (Slot("top_int8_scale", (1,)),) if layer.int(8, 0) in (101, 102) else ()


def _inner_product(layer: Layer) -> tuple[Slot, ...]:
    outputs = layer.int(0, 0)
    weight = Slot("weight", (outputs, _quotient(layer, layer.int(2, 0), outputs)), kept="tagged")
    return (weight, *_bias(layer, 1, outputs), *_int8_scales(layer, outputs))


def _embed(layer: Layer) -> tuple[Slot, ...]:
    outputs = layer.int(0, 0)
    weight = Slot("weight", (_quotient(layer, layer.int(3, 0), outputs), outputs), kept="tagged")
    scales = (Slot("weight_int8_scale", (1,)),) if layer.int(18, 0) else ()
    return (weight, *_bias(layer, 2, outputs), *scales)


def _gemm(layer: Layer) -> tuple[Slot, ...]:
    quantised = _is_int8(layer)
    m, n, k = layer.int(7, 0), layer.int(8, 0), layer.int(9, 0)
    constant_a, constant_b, constant_c = (layer.int(key, 0) == 1 for key in (4, 5, 6))
    found = []
    if constant_a:
        found.append(Slot("A", (k, m) if layer.int(2, 0) else (m, k), kept="tagged"))
    if constant_b:
        found.append(Slot("B", (n, k) if layer.int(3, 0) else (k, n), kept="tagged"))
    if constant_c and layer.int(10, 0) != -1:
        found.append(Slot("C", _gemm_c_shape(layer, m, n), kept="tagged"))
    if quantised and constant_a:
        found.append(Slot("A_int8_scales", (m,)))
    if quantised and constant_b:
        found.append(Slot("B_int8_scale", (1,)))
    return tuple(found)


def _gemm_c_shape(layer: Layer, m: int, n: int) -> tuple[int, ...]:
    shapes = {0: (1,), 1: (m,), 2: (m, 1), 3: (m, n), 4: (1, n)}
    kind = layer.int(10, 0)
    return shapes[kind] if kind in shapes else layer.refuse(f"broadcast type {kind} of C is unknown")


def _attention(layer: Layer) -> tuple[Slot, ...]:
    quantised = _is_int8(layer)
    embed = layer.int(0, 0)
    q_dim = _quotient(layer, layer.int(2, 0), embed)
    inputs = {"q": q_dim, "k": layer.int(3, embed), "v": layer.int(4, embed)}
    found = []
    for name, size in inputs.items():
        found += [Slot(f"{name}_weight", (embed, size), kept="tagged"), Slot(f"{name}_bias", (embed,))]
    found += [Slot("out_weight", (q_dim, embed), kept="tagged"), Slot("out_bias", (q_dim,))]
    if quantised:
        found += [Slot(f"{name}_weight_int8_scales", (embed,)) for name in inputs]
        found.append(Slot("out_weight_int8_scale", (1,)))
    return tuple(found)


def _is_int8(layer: Layer) -> bool:
    term = layer.int(18, 0)
    if term in (4, 5, 6) or term >= FIRST_BLOCK_QUANTIZE_TERM:
        layer.refuse(f"weights with quantize_term {term} are not supported")
    return term != 0


def _recurrent(gates: int, biases: int) -> Row:
    """Weights of the input, biases and weights of the state for each direction; LSTM may project its state."""

    def row(layer: Layer) -> tuple[Slot, ...]:
        outputs, directions = layer.int(0, 0), 2 if layer.int(2, 0) == BIDIRECTIONAL else 1
        hidden = layer.int(3, outputs) if layer.type == "LSTM" else outputs
        size = _quotient(layer, layer.int(1, 0), directions, hidden, gates)
        found = [
            Slot("weight_xc", (directions, hidden * gates, size), kept="tagged"),
            Slot("bias_c", (directions, biases, hidden), kept="tagged"),
            Slot("weight_hc", (directions, hidden * gates, outputs), kept="tagged"),
        ]
        if hidden != outputs:
            found.append(Slot("weight_hr", (directions, outputs, hidden), kept="tagged"))
        if layer.int(8, 0):
            found += [Slot(f"weight_{part}_int8_scales", (directions, hidden * gates)) for part in ("xc", "hc")]
        return tuple(found)

    return row


def _memory_data(layer: Layer) -> tuple[Slot, ...]:
    load_type = layer.int(21, 1)
    if load_type not in LOAD_TYPES:
        layer.refuse(f"load type {load_type} is unknown")
    W, H, D, C = (layer.int(key, 0) for key in (0, 1, 11, 2))
    shape = (C, D, H, W) if D else (C, H, W) if C else (H, W) if H else (W,)
    # Without any size ncnn makes one element up and reads nothing.
    return (Slot("data", shape, LOAD_TYPES[load_type]),) if any(shape) else ()


def _scale(layer: Layer) -> tuple[Slot, ...]:
    size = layer.int(0, 0)
    if size == FROM_BLOB:
        return ()
    return (Slot("scale", (size,)), *_bias(layer, 1, size))


def _padding(layer: Layer) -> tuple[Slot, ...]:
    size = layer.int(6, 0)
    return (Slot("per_channel_pad", (size,)),) if size else ()


def _dequantize(layer: Layer) -> tuple[Slot, ...]:
    return (Slot("scale", (layer.int(0, 1),)), *_bias(layer, 1, layer.int(1, 0)))


def _requantize(layer: Layer) -> tuple[Slot, ...]:
    scales = (Slot("scale_in", (layer.int(0, 1),)), Slot("scale_out", (layer.int(1, 1),)))
    return (*scales, *_bias(layer, 2, layer.int(2, 0)))


def _bias(layer: Layer, term_id: int, size: int) -> tuple[Slot, ...]:
    return (Slot("bias", (size,)),) if layer.int(term_id, 0) else ()


def _quotient(layer: Layer, total: int, *divisors: int) -> int:
    divisor = prod(divisors)
    if total < 1 or min(divisors) < 1 or total % divisor:
        layer.refuse(f"{total} weights do not divide into {' x '.join(map(str, divisors))}")
    return total // divisor


SLOTS: Mapping[str, Row] = {
    "BatchNorm": _vectors(0, "slope", "mean", "var", "bias"),
    "Bias": _vectors(0, "bias"),
    "Convolution": _convolution(2, dynamic_id=19, int8=_convolution_int8),
    "Convolution1D": _convolution(1, dynamic_id=19),
    "Convolution3D": _convolution(3),
    "ConvolutionDepthWise": _convolution(2, dynamic_id=19, int8=_depthwise_int8),
    "ConvolutionDepthWise1D": _convolution(1, dynamic_id=19),
    "ConvolutionDepthWise3D": _convolution(3),
    "Deconvolution": _convolution(2, dynamic_id=28),
    "Deconvolution1D": _convolution(1, dynamic_id=28),
    "Deconvolution3D": _convolution(3),
    "DeconvolutionDepthWise": _convolution(2, dynamic_id=28),
    "DeconvolutionDepthWise1D": _convolution(1, dynamic_id=28),
    "DeconvolutionDepthWise3D": _convolution(3),
    "DeformableConv2D": _convolution(2),
    "Dequantize": _dequantize,
    "Embed": _embed,
    "GRU": _recurrent(gates=3, biases=4),
    "Gemm": _gemm,
    "GroupNorm": _vectors(1, "gamma", "beta", affine_id=3),
    "InnerProduct": _inner_product,
    "InstanceNorm": _vectors(0, "gamma", "beta", affine_id=2),
    "LSTM": _recurrent(gates=4, biases=4),
    "LayerNorm": _vectors(0, "gamma", "beta", affine_id=2),
    "MemoryData": _memory_data,
    "MultiHeadAttention": _attention,
    "Normalize": _vectors(3, "scale"),
    "PReLU": _vectors(0, "slope"),
    "Padding": _padding,
    "Quantize": _vectors(0, "scale", default=1),
    "RMSNorm": _vectors(0, "gamma", affine_id=2),
    "RNN": _recurrent(gates=1, biases=1),
    "Requantize": _requantize,
    "Scale": _scale,
}

_WEIGHTLESS = """
    AbsVal ArgMax BNLL BinaryOp CELU Cast Clip Concat CopyTo Crop CumulativeSum DeepCopy DetectionOutput Diag
    Dropout ELU Einsum Eltwise Erf Exp ExpandDims Flatten Flip Fold GELU GLU GridSample HardSigmoid HardSwish Input
    Interp InverseSpectrogram LRN Log MVN MatMul Mish Noop PSROIPooling Packing Permute PixelShuffle Pooling
    Pooling1D Pooling3D Power PriorBox Proposal ROIAlign ROIPooling ReLU Reduction Reorg Reshape RotaryEmbed SDPA
    SELU SPP Shrink ShuffleChannel Sigmoid Slice Softmax Softplus Spectrogram Split Squeeze StatisticsPooling Swish
    TanH Threshold Tile UnaryOp Unfold YoloDetectionOutput Yolov3DetectionOutput
"""
WEIGHTLESS = frozenset(_WEIGHTLESS.split())
