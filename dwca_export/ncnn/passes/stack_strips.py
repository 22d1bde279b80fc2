"""Coordinate attention of a square map: stacks the two strips on the channel axis instead of one behind the other.

On an S x S map both strips have S positions, so they can lie side by side. One convolution then makes both gates,
where pnnx needs one for each. The weights become block-diagonal, and each group of the normalisation holds the channels
of both strips, so that its statistics still run over both together.

    before                                          after
    1. Concat(x_h, x_w; axis 1)      (c, 2S, 1)     Concat(x_h, x_w; axis 0)    (2c, S, 1)
    2. Convolution 1x1               (m, 2S, 1)     Convolution 1x1             (2m, S, 1)
    3. GroupNorm, G groups (may be absent)          the same with 2m channels
    4. pointwise activations                        the same
    5. Slice(S, S; axis 1) -> y_h, y_w              Convolution 1x1             (k_h + k_w, S, 1)
    6. turn(y_w); Convolution on y_h, on y_w        Slice(k_h, k_w; axis 0); turn(a_w)

A turn makes a column a row or a row a column: `Permute`, or `Reshape` to one row or one column.

Left alone: maps that are not square, strips that are not the means of one and the same blob along H and along W, strips
in the other order, parts of the `Slice` that are not given as S and S, gates with different activations or with
parameters, whatever is read elsewhere too, and blocks whose added zeros would weigh more than `MAX_ADDED` bytes: on
narrow blocks the pass saves a layer's overhead, on wide ones it would cost memory traffic.

Shapes are not known here, but follow: a kernel of S fits into both sides, and the parts of the `Slice` add up to the
rows of both strips, so neither side is longer than S.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dwca_export.ncnn.graph import Graph
    from dwca_export.ncnn.param import Layer
    from dwca_export.ncnn.weights import Weight

MAX_ADDED = 32 * 1024
_POINTWISE = {"HardSwish", "ReLU", "Clip", "Swish", "Sigmoid", "HardSigmoid"}
_SWAP = 1  # Permute's order that swaps W and H
_H_AXIS = 1


@dataclass(frozen=True)
class _Attention:
    """The layers of one attention, in the order of the docstring's left column."""

    size: int
    concat: Layer
    reduce: Layer
    norm: Layer | None
    slice: Layer
    turn: Layer
    conv_h: Layer
    conv_w: Layer


def apply(graph: Graph) -> tuple[Graph, bool]:
    """Run the pass."""
    modified = False
    for layer in graph.layers:
        found = _match(graph, layer) if layer.type == "Concat" else None
        if found is not None and _added_bytes(found) <= MAX_ADDED:
            graph = _rewrite(graph, found)
            modified = True
    return graph, modified


def _match(graph: Graph, concat: Layer) -> _Attention | None:
    size = _square_strips(graph, concat)
    reduce = graph.only_reader(concat.tops[0])
    if not size or reduce is None or not _is_pointwise_convolution(reduce):
        return None
    norm = graph.only_reader(reduce.tops[0])
    norm = norm if norm is not None and norm.type == "GroupNorm" else None
    end = graph.only_reader((norm or reduce).tops[0])
    while end is not None and end.type in _POINTWISE:
        end = graph.only_reader(end.tops[0])
    if end is None or end.type != "Slice" or end.has(2) or end.int(1, 0) != _H_AXIS or end.ints(0, ()) != (size, size):
        return None
    gates = _gates(graph, end, reduce.int(0))
    return _Attention(size, concat, reduce, norm, end, *gates) if gates else None


def _gates(graph: Graph, end: Layer, channels: int) -> tuple[Layer, Layer, Layer] | None:
    """The turn of the W strip and the convolutions that make the gates of H and of W."""
    conv_h, turn = (graph.only_reader(blob) for blob in end.tops)
    conv_w = graph.only_reader(turn.tops[0]) if turn is not None and _is_turn(turn) else None
    if conv_h is None or turn is None or conv_w is None:
        return None
    if not _is_pointwise_convolution(conv_h) or not _is_pointwise_convolution(conv_w):
        return None
    same_activation = conv_h.int(9, 0) == conv_w.int(9, 0) and not conv_h.has(10) and not conv_w.has(10)
    # A Reshape may also have made positions channels.
    same_channels = conv_w.int(6) == conv_w.int(0) * channels
    return (turn, conv_h, conv_w) if same_activation and same_channels else None


def _square_strips(graph: Graph, concat: Layer) -> int:
    """Side of the square map whose strips are concatenated along H, 0 if that is not what happens."""
    if concat.int(0, 0) != _H_AXIS or len(concat.bottoms) != 2:  # noqa: PLR2004  two strips
        return 0
    pool_h, turn = (graph.producer(blob) for blob in concat.bottoms)
    if not _is_turn(turn) or graph.only_reader(turn.tops[0]) is None:
        return 0
    pool_w = graph.producer(turn.bottoms[0])
    if pool_h.bottoms != pool_w.bottoms or graph.only_reader(pool_h.tops[0]) is None:
        return 0
    (width, one), (other, height) = _mean_kernel(pool_h), _mean_kernel(pool_w)
    return width if width == height and one == other == 1 else 0


def _is_turn(layer: Layer) -> bool:
    if layer.type == "Reshape" and layer.params.keys() == {0, 1, 2}:
        return 1 in (layer.int(0), layer.int(1))
    return layer.type == "Permute" and layer.int(0, 0) == _SWAP


def _turned(layer: Layer, channels: int) -> Layer:
    """The turn of a strip with another number of channels."""
    return layer.with_params({2: channels}) if layer.type == "Reshape" else layer


def _mean_kernel(pooling: Layer) -> tuple[int, int]:
    """Kernel width and height of an unpadded average pooling that makes a strip, zeros for anything else."""
    if pooling.type != "Pooling" or pooling.int(0, 0) != 1 or pooling.int(4, 0) or pooling.int(7, 0):
        return 0, 0
    if any(pooling.int(key, 0) for key in (3, 13, 14, 15)):
        return 0, 0
    width, stride = pooling.int(1, 0), pooling.int(2, 1)
    kernel = (width, pooling.int(11, width))
    # Along the strip every position has to be there.
    skips = any(side == 1 and step > 1 for side, step in zip(kernel, (stride, pooling.int(12, stride)), strict=True))
    return (0, 0) if skips else kernel


def _is_pointwise_convolution(layer: Layer) -> bool:
    width = layer.int(1, 0) if layer.type == "Convolution" else 0
    stride, pad = layer.int(2, 1), layer.int(4, 0)
    return (
        width == layer.int(11, width) == 1
        and stride == layer.int(12, stride) == 1
        and not any((pad, layer.int(14, pad), layer.int(15, pad), layer.int(16, pad)))
        and not layer.int(8, 0)  # int8
        and not layer.int(19, 0)  # weights from a blob
    )


def _added_bytes(found: _Attention) -> int:
    """Zeros in the block-diagonal weights, and what is stored twice."""
    gates = found.conv_h.int(6) + found.conv_w.int(6)
    return 4 * (3 * found.reduce.int(6) + gates)


def _rewrite(graph: Graph, found: _Attention) -> Graph:
    channels = found.reduce.int(0)
    groups = found.norm.int(0) if found.norm else 1
    # Position of each strip's channels among the 2m: per group those of H, then those of W.
    order = np.arange(2 * channels).reshape(groups, 2, channels // groups)
    at_h, at_w = order[:, 0].ravel(), order[:, 1].ravel()
    weights = {
        found.reduce.name: _reduce_weights(graph, found.reduce, at_h, at_w),
        found.conv_h.name: _gate_weights(graph, found, at_h, at_w),
    }
    if found.norm is not None:
        weights[found.norm.name] = _norm_weights(graph, found.norm, at_h, at_w)
    graph = graph.edited(changed=_stacked_layers(found), removed=[found.conv_w], weights=weights)
    stacked = {found.concat.tops[0]: 1, **dict.fromkeys(_between(graph, found), groups)}
    taps = tuple(replace(tap, stacked_groups=stacked.get(tap.blob, tap.stacked_groups)) for tap in graph.taps)
    # The layers now follow each other in another order: the gates' convolution before the Slice.
    return replace(graph, taps=taps).in_order()


def _stacked_layers(found: _Attention) -> list[Layer]:
    outputs_h, outputs_w = found.conv_h.int(0), found.conv_w.int(0)
    size = outputs_h + outputs_w
    # New names: a tap of y_w must not find a_w under its name.
    gates, column_w = f"{found.slice.name}_gates", f"{found.slice.name}_column"
    changed = [
        found.concat.with_params({0: 0}),
        found.reduce.with_params({0: 2 * found.reduce.int(0), 6: 4 * found.reduce.int(6)}),
        replace(
            found.conv_h.with_params({0: size, 5: 1, 6: 2 * found.reduce.int(0) * size}),
            bottoms=found.slice.bottoms,
            tops=(gates,),
        ),
        replace(
            found.slice.with_params({0: [outputs_h, outputs_w], 1: 0}),
            bottoms=(gates,),
            tops=(found.conv_h.tops[0], column_w),
        ),
        replace(_turned(found.turn, outputs_w), bottoms=(column_w,), tops=found.conv_w.tops),
    ]
    if found.norm is not None:
        changed.append(found.norm.with_params({1: 2 * found.norm.int(1)}))
    return changed


def _between(graph: Graph, found: _Attention) -> list[str]:
    """The blobs from the reduction to the gates' convolution: those whose layout is the stacked one."""
    blobs = [found.reduce.tops[0]]
    while (reader := graph.only_reader(blobs[-1])) is not None and reader.name != found.conv_h.name:
        blobs.append(reader.tops[0])
    return blobs


def _reduce_weights(graph: Graph, layer: Layer, at_h: np.ndarray, at_w: np.ndarray) -> list[Weight]:
    weight = graph.weight(layer, "weight")
    old = weight.data.reshape(len(at_h), -1)
    new = np.zeros((2 * len(at_h), 2 * old.shape[1]), np.float32)
    new[at_h, : old.shape[1]] = old
    new[at_w, old.shape[1] :] = old
    return [replace(weight, data=new.reshape(*new.shape, 1, 1)), *_doubled(graph, layer, ("bias",), at_h, at_w)]


def _norm_weights(graph: Graph, layer: Layer, at_h: np.ndarray, at_w: np.ndarray) -> list[Weight]:
    return _doubled(graph, layer, ("gamma", "beta"), at_h, at_w)


def _doubled(graph: Graph, layer: Layer, names: tuple[str, ...], at_h: np.ndarray, at_w: np.ndarray) -> list[Weight]:
    tensors = []
    for weight in graph.weights.get(layer.name, ()):
        if weight.name in names:
            data = np.empty(2 * len(at_h), np.float32)
            data[at_h] = data[at_w] = weight.data
            tensors.append(replace(weight, data=data))
    return tensors


def _gate_weights(graph: Graph, found: _Attention, at_h: np.ndarray, at_w: np.ndarray) -> list[Weight]:
    rows, biases = [], []
    for layer, columns in ((found.conv_h, at_h), (found.conv_w, at_w)):
        old = graph.weight(layer, "weight").data.reshape(layer.int(0), -1)
        new = np.zeros((old.shape[0], 2 * len(columns)), np.float32)
        new[:, columns] = old
        rows.append(new)
        has_bias = bool(layer.int(5, 0))
        biases.append(graph.weight(layer, "bias").data if has_bias else np.zeros(old.shape[0], np.float32))
    stacked = np.concatenate(rows)
    weight = replace(graph.weight(found.conv_h, "weight"), data=stacked.reshape(*stacked.shape, 1, 1))
    bias = replace(weight, name="bias", storage="raw", data=np.concatenate(biases))
    return [weight, bias]
