"""The DWCA block and its baseline as pieces of an ncnn network, for a machine without torch.

The layers are those that `dwca-export` writes for a `DWCABlock` of a fixed size, batch normalisation folded and its
passes applied: a depthwise and a 1x1 convolution with Hardswish, then the coordinate attention on two strips. The
baseline is the same without attention. The weights are random: time does not depend on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dwca_export.artifacts import NcnnModel
from dwca_export.bench.copies import INPUT, Piece
from dwca_export.ncnn.graph import Graph, to_model
from dwca_export.ncnn.param import Layer, Param
from dwca_export.ncnn.passes import PASSES
from dwca_export.ncnn.weights import Weight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwca_export.ncnn.values import Value

BASELINE, FULL = "block 3x3", "block 5x5 + attention"
"""Names of the baseline and of the whole block, as `str` gives them."""

_REDUCTION, _LEAST_REDUCED, _GROUPS = 16, 8, 4
_EPSILON = 1e-5
_HARDSWISH = (1 / 6, 0.5)
_HARDSWISH_FUSED: Mapping[int, Value] = {9: 6, 10: _HARDSWISH}
_SIGMOID_FUSED: Mapping[int, Value] = {9: 4}


@dataclass(frozen=True)
class Block:
    """A DWCA block, or its baseline.

    Attributes:
        channels: Of its input and of its output.
        height: Of its input.
        width: Of its input.
        kernel: Size of the depthwise kernel, odd.
        stride: Of the depthwise convolution.
        attention: Whether it has the coordinate attention.
    """

    channels: int
    height: int
    width: int
    kernel: int = 5
    stride: int = 1
    attention: bool = True

    def __str__(self) -> str:
        attention = " + attention" if self.attention else ""
        return f"block {self.kernel}x{self.kernel}{attention}"

    @property
    def reduced(self) -> int:
        """Channels between the attention's convolutions: as `DWCABlock`'s, in whole groups of the GroupNorm."""
        return max(_LEAST_REDUCED, self.channels // _REDUCTION) // _GROUPS * _GROUPS

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its output."""
        return -(-self.height // self.stride), -(-self.width // self.stride)

    @property
    def has_residual(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1


def block_piece(block: Block) -> Piece:
    """The block's layers from `in0` to `out0`."""
    builder = _Builder([Layer("Input", INPUT, (), (INPUT,))])
    C = block.channels
    depthwise = builder.convolution(INPUT, "dw_conv", C, 1, kernel=block.kernel, stride=block.stride)
    last = builder.convolution(depthwise, "pw_conv", C, C, fused=_HARDSWISH_FUSED)
    if block.attention:
        last = _attended(builder, last, block)
    if block.has_residual:
        last = builder.layer("BinaryOp", "add", (INPUT, last), {0: 0})
    return builder.piece(C, last)


def _attended(builder: _Builder, features: str, block: Block) -> str:
    C, (height, width) = block.channels, block.size
    rows = builder.layer("Pooling", "pool_h", (features,), _mean(1, width))
    columns = builder.layer("Pooling", "pool_w", (features,), _mean(height, 1))
    upright = builder.layer("Reshape", "upright", (columns,), {0: 1, 1: width, 2: C})
    strips = builder.layer("Concat", "strips", (rows, upright), {0: 1})
    reduced = builder.convolution(strips, "conv_pool", block.reduced, C, bias=True)
    normal = builder.layer("GroupNorm", "gn", (reduced,), {0: _GROUPS, 1: block.reduced, 2: _EPSILON, 3: 0})
    active = builder.layer("HardSwish", "act", (normal,), {0: _HARDSWISH[0], 1: _HARDSWISH[1]})
    at_h, at_w = builder.parts(active, block.size)
    gate_h = builder.convolution(at_h, "gate_h", C, block.reduced, bias=True, fused=_SIGMOID_FUSED)
    lying = builder.layer("Reshape", "lying", (at_w,), {0: width, 1: 1, 2: block.reduced})
    gate_w = builder.convolution(lying, "gate_w", C, block.reduced, bias=True, fused=_SIGMOID_FUSED)
    by_column = builder.layer("BinaryOp", "by_column", (features, gate_w), {0: 2})
    return builder.layer("BinaryOp", "by_row", (by_column, gate_h), {0: 2})


def _mean(height: int, width: int) -> dict[int, Value]:
    """A Pooling whose kernel is the whole strip."""
    return {0: 1, 1: width, 11: height, 12: height, 13: 0, 2: width, 3: 0, 5: 1, 6: 1}


@dataclass
class _Builder:
    """Layers in the form of a `Graph`: what several layers read has no Split yet."""

    layers: list[Layer]
    weights: dict[str, tuple[Weight, ...]] = field(default_factory=dict)
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def layer(self, type_: str, name: str, bottoms: tuple[str, ...], params: Mapping[int, Value]) -> str:
        self.layers.append(Layer(type_, name, bottoms, (name,)).with_params(params))
        return name

    def parts(self, blob: str, sizes: tuple[int, int]) -> tuple[str, str]:
        """Cut a blob along H."""
        tops = (f"{blob}_0", f"{blob}_1")
        self.layers.append(Layer("Slice", "parts", (blob,), tops).with_params({0: sizes, 1: 1}))
        return tops

    def convolution(
        self,
        bottom: str,
        name: str,
        outputs: int,
        inputs: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        bias: bool = False,
        fused: Mapping[int, Value] | None = None,
    ) -> str:
        """A convolution; one that is larger than 1x1 is depthwise, with one input for each output."""
        weight = self.generator.standard_normal((outputs, inputs, kernel, kernel), np.float32)
        weight /= np.float32(np.sqrt(weight[0].size))
        params: dict[int, Value] = {0: outputs, 1: kernel, 11: kernel, 12: 1, 13: stride, 14: kernel // 2, 2: 1}
        params |= {3: stride, 4: kernel // 2, 5: int(bias), 6: weight.size, **(fused or {})}
        self.weights[name] = (Weight(name, "weight", "fp32", weight),)
        if bias:
            values = self.generator.standard_normal(outputs, np.float32)
            self.weights[name] += (Weight(name, "bias", "raw", values),)
        if kernel == 1:
            return self.layer("Convolution", name, (bottom,), params)
        return self.layer("ConvolutionDepthWise", name, (bottom,), {**params, 7: outputs})

    def piece(self, channels: int, last: str) -> Piece:
        """The finished piece, as the exporter's passes leave it."""
        graph = Graph(tuple(self.layers), self.weights, (last,))
        for _, apply in PASSES:
            graph, _ = apply(graph)
        model = to_model(graph, NcnnModel(Param(()), (), (), ()))
        return Piece(tuple(layer for layer in model.param.layers if layer.type != "Input"), model.weights, channels)
