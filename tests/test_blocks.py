"""Coordinate attention is found by its structure, with its numbers; look-alikes are not."""

from __future__ import annotations

import pytest
from hop_nets import rewritten, simplified

from dwca_export.blocks import Block, find_blocks

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
