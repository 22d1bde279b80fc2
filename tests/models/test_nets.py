"""The reference networks: shapes at several sizes, and that the baseline differs in nothing but the block."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dwca_export.block import DWCABlock
from dwca_export.errors import UsageError
from models.nets import BaselineBlock, classifier, detector, scale_channels

KINDS = {"dwca": DWCABlock, "baseline": BaselineBlock}
# The published residuals: none where a stage begins, one everywhere else.
RESIDUALS = [False, False, True, False, True, True, True, False, True, True, True]
MAKERS = {
    "classifier": lambda block: classifier(width=0.5, block=block),
    "detector": lambda block: detector(width=0.5, block=block),
}


def blocks_of(network):
    return {name: m for name, m in network.named_modules() if isinstance(m, tuple(KINDS.values()))}


def shapes_outside_blocks(network):
    prefixes = tuple(f"{name}." for name in blocks_of(network))
    return {name: t.shape for name, t in network.state_dict().items() if not name.startswith(prefixes)}


@torch.no_grad()
def shapes(network, *size):
    outputs = network.eval()(torch.randn(*size))
    return [tuple(t.shape) for t in (outputs if isinstance(outputs, tuple) else (outputs,))]


@pytest.mark.parametrize("block", KINDS)
@pytest.mark.parametrize("size", [(1, 3, 224, 224), (2, 3, 160, 224), (1, 3, 33, 65), (1, 3, 1, 1)])
def test_classifier_takes_any_size(block, size):
    assert shapes(classifier(num_classes=7, width=0.5, block=block), *size) == [(size[0], 7)]


def test_classifier_at_width_1_is_as_large_as_mobilenetv3_small():
    network = classifier()
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(2_540_000, rel=0.2)
    assert shapes(network, 1, 3, 224, 224) == [(1, 1000)]


def test_classifier_has_a_total_stride_of_32():
    with torch.no_grad():
        stages = classifier(width=0.5).eval().trunk(torch.randn(1, 3, 224, 192))
    assert [tuple(t.shape[2:]) for t in stages] == [(56, 48), (28, 24), (14, 12), (7, 6)]


def test_classifier_for_28x28():
    network = classifier(num_classes=10, in_channels=1, stem_stride=1, downsamplings=3)
    assert shapes(network, 3, 1, 28, 28) == [(3, 10)]
    with torch.no_grad():
        stages = network.trunk(torch.randn(1, 1, 28, 28))
    assert [t.shape[-1] for t in stages] == [28, 14, 7, 4]


@pytest.mark.parametrize("block", KINDS)
@pytest.mark.parametrize(
    ("size", "maps"),
    [((224, 160), [(28, 20), (14, 10), (7, 5)]), ((100, 37), [(13, 5), (7, 3), (4, 2)])],
)
def test_detector_gives_logits_and_boxes_per_scale(block, size, maps):
    network = detector(num_classes=5, anchors=2, width=0.5, block=block)
    assert shapes(network, 1, 3, *size) == [(1, channels, *hw) for hw in maps for channels in (10, 8)]


@pytest.mark.parametrize("block", KINDS)
def test_detector_of_small_images_has_finer_maps(block):
    network = detector(num_classes=5, width=0.25, stem_stride=1, block=block)
    assert shapes(network, 1, 3, 96, 80)[::2] == [(1, 15, 24, 20), (1, 15, 12, 10), (1, 15, 6, 5)]


@pytest.mark.parametrize("make", [classifier, detector])
def test_blocks_come_from_a_factory(make):
    built = []

    def factory(c1, c2, stride):
        built.append(BaselineBlock(c1, c2, stride))
        return built[-1]

    network = make(width=0.25, block=factory)
    named = make(width=0.25, block="baseline")
    assert list(blocks_of(network).values()) == built
    assert {k: t.shape for k, t in network.state_dict().items()} == {k: t.shape for k, t in named.state_dict().items()}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_dwca_and_baseline_differ_only_inside_the_blocks(make):
    dwca, baseline = make("dwca"), make("baseline")
    assert shapes_outside_blocks(dwca) == shapes_outside_blocks(baseline)
    assert list(blocks_of(dwca)) == list(blocks_of(baseline))
    for ours, theirs in zip(blocks_of(dwca).values(), blocks_of(baseline).values(), strict=True):
        assert type(ours) is DWCABlock
        assert type(theirs) is BaselineBlock
        assert ours.use_res == theirs.use_res
        assert ours.dw_conv.stride == theirs.dw_conv.stride
        assert (ours.dw_conv.kernel_size, theirs.dw_conv.kernel_size) == ((5, 5), (3, 3))
        assert ours.pw_conv.weight.shape == theirs.pw_conv.weight.shape


def test_another_width_is_seen_outside_the_blocks():
    wide, narrow = classifier(width=0.75), classifier(width=0.5)
    assert shapes_outside_blocks(wide) != shapes_outside_blocks(narrow)


@pytest.mark.parametrize("block", KINDS)
def test_residuals_are_where_they_can_be(block):
    assert [m.use_res for m in blocks_of(classifier(width=0.5, block=block)).values()] == RESIDUALS


@torch.no_grad()
def test_baseline_block_is_its_convolutions_and_its_residual():
    block = BaselineBlock(8, 8).eval()
    x = torch.randn(1, 8, 5, 6)
    expected = x + block.act(block.bn(block.pw_conv(block.dw_conv(x))))
    assert torch.equal(block(x), expected)
    with pytest.raises(UsageError, match=r"BaselineBlock: a residual is impossible"):
        BaselineBlock(8, 16, residual=True)


def test_arguments_come_from_json():
    arguments = json.loads('{"num_classes": 3, "in_channels": 1, "width": 0.25, "stem_stride": 1, "block": "baseline"}')
    assert shapes(classifier(**arguments), 1, 1, 20, 20) == [(1, 3)]


@given(channels=st.sampled_from([16, 32, 64, 128, 256, 576]), width=st.floats(0.01, 4.0))
def test_scaled_channels_suit_the_block(channels, width):
    scaled = scale_channels(channels, width)
    assert max(8, scaled // 16) % 4 == 0
    assert scaled <= scale_channels(channels, width * 1.1)
    assert abs(scaled - channels * width) <= (8 if scaled < 128 else 36)


@given(channels=st.sampled_from([16, 576]), width=st.floats(0.1, 2.0), step=st.sampled_from([1, 2, 4]))
def test_networks_without_attention_are_sized_finely(channels, width, step):
    scaled = scale_channels(channels, width, step)
    assert scaled % step == 0
    assert abs(scaled - channels * width) <= max(step / 2, step - channels * width)


def test_the_channel_step_reaches_every_layer():
    network = classifier(num_classes=5, width=0.36, channel_step=2, block="baseline")
    assert network.trunk.channels == (12, 24, 46, 92)
    assert (network.head[0].out_channels, network.classifier[0].out_features) == (208, 368)


@pytest.mark.parametrize("make", [classifier, detector])
@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("block", "se", "dwca or baseline"),
        ("width", 0, "above 0"),
        ("in_channels", 0, "at least 1"),
        ("num_classes", 0, "at least 1"),
        ("stem_stride", 3, "1 or 2"),
        ("channel_step", 0, "at least 1"),
    ],
)
def test_bad_arguments_are_refused(make, name, value, valid):
    with pytest.raises(UsageError, match=f"{name}={value!r}") as caught:
        make(**{name: value})
    assert valid in caught.value.hint


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (classifier, "downsamplings", 5),
        (classifier, "downsamplings", -1),
        (classifier, "dropout", 1.0),
        (detector, "anchors", 0),
    ],
)
def test_bad_arguments_of_one_network_are_refused(make, name, value):
    with pytest.raises(UsageError, match=f"{name}={value!r}"):
        make(**{name: value})
