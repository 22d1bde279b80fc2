from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models import nets
from models.experiment.receptive_field import area, gradient_map, measure, reach, shares_of_squares

NOISE = torch.randn(4, 8, 15, 15, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_convolution_sees_its_kernel(kernel):
    field = gradient_map(nn.Conv2d(8, 8, kernel, padding=kernel // 2), NOISE)
    assert np.count_nonzero(field) == kernel**2
    middle, half = 7, kernel // 2
    assert field[middle - half : middle + half + 1, middle - half : middle + half + 1].all()
    assert shares_of_squares(field)[half] == pytest.approx(1)


def test_known_weights_by_hand():
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.constant_(conv.weight, 1.0)
    with torch.no_grad():
        conv.weight[0, 0, 1, 1] = -8.0  # half of the magnitude lies in the middle
    field = gradient_map(conv, NOISE[:, :1])
    assert (area(field, 0.5), area(field, 0.9), area(field, 1.0)) == (1, 8, 9)
    assert shares_of_squares(field)[:3] == pytest.approx([0.5, 1, 1])


def test_the_attention_of_a_block_sees_rows_and_columns():
    block, plain = nets.DWCABlock(8, 8).eval(), nets.BaselineBlock(8, 8).eval()
    assert np.count_nonzero(gradient_map(plain, NOISE)) == 9
    assert np.count_nonzero(gradient_map(block, NOISE)) == 15 * 15


@given(st.lists(st.floats(0.01, 1), min_size=4, max_size=4), st.floats(0.05, 0.95))
def test_areas_grow_with_the_share(values, share):
    field = np.array(values).reshape(2, 2)
    assert 1 <= area(field, share) <= area(field, min(1.0, share + 0.04)) <= 4


def test_maps_of_a_network_and_the_reach_of_its_convolutions():
    network = nets.classifier(11, width=0.1, stem_stride=1, block="baseline").eval()
    maps = measure(network, torch.zeros(2, 3, 32, 32).normal_(generator=torch.Generator().manual_seed(0)))
    assert {part: field.shape for part, field in maps.items()} == {"stage": (32, 32), "block": (8, 8)}
    assert np.count_nonzero(maps["block"]) == 9
    # The stem, and eleven depthwise kernels, each at the stride of what it reads.
    assert reach(network) == 3 + 2 * sum([1, 2, 4, 4, 8, 8, 8, 8, 16, 16, 16])
