"""The blocks that are timed without torch are those that the exporter writes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dwca_export.bench.block_pieces import Block, block_piece
from dwca_export.bench.copies import alone
from dwca_export.bench.slope import OpenNet, Setting
from dwca_export.block import DWCABlock
from dwca_export.ncnn.param import Param
from dwca_export.ncnn.weights import check_weights
from dwca_export.optimise import optimise


class Bare(DWCABlock):
    """The block without its attention."""

    def _attend(self, features):
        return features


def structure(param):
    """Types, parameters and connections, whatever the names are."""
    numbers = {blob: index for index, blob in enumerate(param.blobs)}
    return [
        (layer.type, [numbers[blob] for blob in layer.bottoms], dict(layer.params))
        for layer in param.layers
        if layer.type != "Input"
    ]


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        (Block(64, 12, 12), DWCABlock),
        (Block(64, 12, 10), DWCABlock),
        (Block(64, 12, 12, stride=2), DWCABlock),
        (Block(256, 7, 7), DWCABlock),
        (Block(64, 12, 12, kernel=3, attention=False), Bare),
        (Block(64, 12, 10, kernel=3, stride=2, attention=False), Bare),
    ],
    ids=str,
)
def test_the_piece_is_what_the_exporter_writes(convert, block, kind):
    torch.manual_seed(0)
    module = kind(block.channels, block.channels, block.kernel, block.stride).eval()
    exported, _ = optimise(convert(module, (1, block.channels, block.height, block.width)))
    ours = Param(alone(block_piece(block)).layers)
    assert structure(ours) == structure(exported.param)


@pytest.mark.parametrize("block", [Block(16, 9, 9), Block(16, 9, 5, stride=2), Block(8, 1, 1)], ids=str)
def test_the_piece_runs(block):
    piece = alone(block_piece(block))
    check_weights(Param(piece.layers), piece.weights)
    net = OpenNet(piece, np.ones((block.channels, block.height, block.width), np.float32), Setting())
    output = net.infer()
    net.close()
    assert output.shape == (block.channels, -(-block.height // block.stride), -(-block.width // block.stride))
    assert np.isfinite(output).all()
