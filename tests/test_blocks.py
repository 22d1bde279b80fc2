"""Coordinate attention is found by its structure, with its numbers; look-alikes are not."""

from __future__ import annotations

import numpy as np
import pytest
from hop_nets import loaded, rewritten, simplified
from small_graphs import onnx_model, proto
from torch import nn

from dwca_export.block import DWCABlock
from dwca_export.blocks import Block, find_blocks
from dwca_export.prepare import prepare
from dwca_export.simplify import rewrite, simplify
from dwca_export.to_onnx import to_onnx

FOUND = {
    "dwca": (
        Block("1", 32, 8, 4, "GroupNorm", 2, depthwise_kernel=5, stride=2, residual=False),
        Block("2", 32, 16, 2, "GroupNorm", 8, depthwise_kernel=3, stride=1, residual=True),
        Block("3", 32, 8, 4, "GroupNorm", 4, depthwise_kernel=5, stride=1, residual=False),
    ),
    "attentions": (
        Block("paper.2", 32, 8, 4, "", 0, depthwise_kernel=0, stride=1, residual=False),
        Block("inline", 16, 4, 4, "", 0, depthwise_kernel=0, stride=1, residual=False),
        # A depthwise convolution feeds one side of the sum; it is not the block's own.
        Block("behind_a_sum.ca", 16, 8, 2, "", 0, depthwise_kernel=0, stride=1, residual=False),
    ),
    "look-alikes": (),
    "activations": (),
    "tokens": (),
}


@pytest.mark.parametrize("form", [simplified, rewritten])
@pytest.mark.parametrize(("name", "blocks"), FOUND.items())
def test_attention_is_found_and_nothing_else(name, blocks, form):
    assert find_blocks(form(name)) == blocks


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 1)])
def test_attention_over_maps_of_one_row_or_column_is_found(size):
    """A mean of one number is left out of the graph, or stays as a pooling that does nothing."""
    network = nn.Sequential(nn.Conv2d(3, 16, 1), DWCABlock(16, 16)).eval()
    plain = simplify(to_onnx(prepare(loaded(network), ((1, 3, *size),))))
    expected = (Block("1", 16, 8, 2, "GroupNorm", 4, depthwise_kernel=5, stride=1, residual=True),)
    assert find_blocks(plain) == find_blocks(rewrite(plain)[0]) == expected


def gated(first, second, axis, shape, channels=4):
    """x, multiplied by what a 1x1 convolution makes of two values that are joined along an axis."""
    nodes = [
        *first,
        *second,
        ("Concat", ["a", "b"], ["joined"], {"axis": axis}),
        ("Conv", ["joined", "w"], ["c"], {}),
        ("GlobalMaxPool", ["c"], ["gate"], {}),
        ("Mul", ["x", "gate"], ["y"], {}),
    ]
    return onnx_model(proto(nodes, {"x": shape}, {"y": shape}, {"w": np.ones((4, channels, 1, 1), np.float32)}))


TURNED = [("Transpose", ["t"], ["b"], {"perm": [0, 1, 3, 2]})]
ALONG_W = [("AveragePool", ["x"], ["a"], {"kernel_shape": [1, 5]})]
ALONG_H = [("AveragePool", ["x"], ["t"], {"kernel_shape": [1, 1]}), *TURNED]
SMOOTHED = [("AveragePool", ["x"], ["t"], {"kernel_shape": [1, 3], "pads": [0, 1, 0, 1]}), *TURNED]


def test_only_means_of_one_number_pass_for_the_value_itself():
    row, dot = (1, 4, 1, 5), (1, 4, 1, 1)
    assert len(find_blocks(gated(ALONG_W, ALONG_H, 2, row))) == 1
    assert find_blocks(gated(ALONG_W, SMOOTHED, 2, row)) == ()
    same = [("Identity", ["x"], ["a"], {})], [("Identity", ["x"], ["b"], {})]
    pooled = [("GlobalAveragePool", ["x"], ["a"], {})], [("GlobalAveragePool", ["x"], ["b"], {})]
    assert find_blocks(gated(*same, 1, dot, channels=8)) == ()
    assert len(find_blocks(gated(*pooled, 2, dot))) == 1
    assert find_blocks(gated(*pooled, 1, dot, channels=8)) == ()
