"""The variants of the block: each differs from DWCA in exactly what it is there to show."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dwca_export.block import DWCABlock
from dwca_export.errors import UsageError
from models import controls, nets
from models.controls import BLOCKS, classifier, detector, initialise
from models.nets import BaselineBlock

# What a variant's block has that DWCA's does not have, what it lacks, and what has another shape.
ATTENTION = {f"{layer}.{kind}" for layer in ("conv_pool", "gn", "conv_h", "conv_w") for kind in ("weight", "bias")}
SQUEEZE = {f"{layer}.{kind}" for layer in ("reduce", "expand") for kind in ("weight", "bias")}
DIFFERENCES = {
    "baseline": (set(), ATTENTION, {"dw_conv.weight"}),
    "plain5x5": (set(), ATTENTION, set()),
    "attention3x3": (set(), set(), {"dw_conv.weight"}),
    "dwca": (set(), set(), set()),
    "dwca_batchnorm": (set(), set(), set()),
    "se5x5": (SQUEEZE, ATTENTION, set()),
    "dwca_no_residual": (set(), set(), set()),
}


def parameters(module):
    return {name: parameter.shape for name, parameter in module.named_parameters()}


def small(variant, **arguments):
    return classifier(variant, num_classes=5, width=0.25, **arguments)


def test_every_variant_has_its_row_here():
    assert list(DIFFERENCES) == list(BLOCKS)


@pytest.mark.parametrize("variant", BLOCKS)
def test_a_block_has_exactly_the_stated_differences(variant):
    added, removed, reshaped = DIFFERENCES[variant]
    ours, dwca = parameters(BLOCKS[variant](16, 32, 2)), parameters(BLOCKS["dwca"](16, 32, 2))
    assert ours.keys() - dwca.keys() == added
    assert dwca.keys() - ours.keys() == removed
    assert {name for name in ours.keys() & dwca.keys() if ours[name] != dwca[name]} == reshaped


@pytest.mark.parametrize("variant", BLOCKS)
def test_only_one_variant_lacks_the_residual(variant):
    assert BLOCKS[variant](16, 16, 1).use_res is (variant != "dwca_no_residual")
    assert not BLOCKS[variant](16, 16, 2).use_res
    assert not BLOCKS[variant](16, 24, 1).use_res


@pytest.mark.parametrize("variant", BLOCKS)
def test_normalisations_are_what_their_names_say(variant):
    block = BLOCKS[variant](16, 16, 1)
    kinds = {name: type(m) for name, m in block.named_modules() if isinstance(m, nn.GroupNorm | nn.BatchNorm2d)}
    attention = {"dwca_batchnorm": nn.BatchNorm2d}.get(variant, nn.GroupNorm)
    assert kinds == {"bn": nn.BatchNorm2d, **({} if "gn.weight" in DIFFERENCES[variant][1] else {"gn": attention})}


@torch.no_grad()
def test_without_attention_the_5x5_block_computes_what_dwca_weighs():
    dwca, plain = DWCABlock(8, 8).eval(), BLOCKS["plain5x5"](8, 8, 1).eval()
    plain.load_state_dict({name: dwca.state_dict()[name] for name in plain.state_dict()})
    x = torch.randn(2, 8, 9, 7)
    for layer in (dwca.conv_h, dwca.conv_w):
        layer.weight.zero_()
        layer.bias.fill_(100)  # sigmoid(100) is 1
    torch.testing.assert_close(plain(x), dwca(x))


@torch.no_grad()
def test_squeeze_and_excitation_weighs_each_channel():
    block = BLOCKS["se5x5"](8, 16, 1).eval()
    features = block.act(block.bn(block.pw_conv(block.dw_conv(torch.randn(2, 8, 9, 7)))))
    ratio = block._weigh(features) / features
    expected = torch.sigmoid(block.expand(block.act(block.reduce(features.mean((2, 3), keepdim=True)))))
    torch.testing.assert_close(ratio, expected.expand_as(ratio), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", BLOCKS)
def test_parameters_that_variants_share_begin_alike(variant):
    ours, dwca = small(variant), small("dwca")
    for network in (ours, dwca):
        initialise(network, 3)
    theirs = dict(dwca.named_parameters())
    shared = [name for name, p in ours.named_parameters() if name in theirs and p.shape == theirs[name].shape]
    assert {"trunk.stem.0.weight", "trunk.stages.3.0.pw_conv.weight", "classifier.3.bias"} <= set(shared)
    for name in shared:
        assert torch.equal(dict(ours.named_parameters())[name], theirs[name]), name


def test_values_depend_on_the_seed_and_on_the_name():
    first, again, other = small("dwca"), small("dwca"), small("dwca")
    initialise(first, 0)
    initialise(again, 0)
    initialise(other, 1)
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, again.get_parameter(name))
        if parameter.unique().numel() > 1:
            assert not torch.equal(parameter, other.get_parameter(name))
    blocks = first.trunk.stages[2]
    assert not torch.equal(blocks[1].dw_conv.weight, blocks[2].dw_conv.weight)


def test_the_layout_of_the_weights_does_not_change_their_values():
    rows, channels_last = small("dwca"), small("dwca").to(memory_format=torch.channels_last)
    for network in (rows, channels_last):
        initialise(network, 0)
    for name, parameter in rows.named_parameters():
        assert torch.equal(parameter, channels_last.get_parameter(name))


def test_distributions_are_those_of_pytorch():
    ours, theirs = (classifier("dwca", width=1.0, num_classes=50) for _ in range(2))
    initialise(ours, 0)
    for name, parameter in ours.named_parameters():
        default = theirs.get_parameter(name)
        if parameter.numel() > 500 and parameter.ndim > 1:
            assert parameter.std().item() == pytest.approx(default.std().item(), rel=0.1), name
            assert parameter.abs().max().item() == pytest.approx(default.abs().max().item(), rel=0.05), name
        elif "bn" in name or "gn" in name:
            assert torch.equal(parameter, default)


def test_running_statistics_start_anew():
    network = small("dwca_batchnorm")
    network(torch.randn(4, 3, 16, 16))
    initialise(network, 0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert not module.running_mean.any()
            assert torch.all(module.running_var == 1)


def test_a_layer_that_initialise_does_not_know_is_refused():
    with pytest.raises(UsageError, match="layer 1 is a PReLU"):
        initialise(nn.Sequential(nn.Linear(2, 2), nn.PReLU()), 0)


@pytest.mark.parametrize("variant", BLOCKS)
def test_networks_of_all_variants_work_at_any_size(variant):
    with torch.no_grad():
        assert small(variant).eval()(torch.randn(2, 3, 33, 40)).shape == (2, 5)
        assert len(detector(variant, width=0.25, stem_stride=1).eval()(torch.randn(1, 3, 32, 32))) == 6


def test_the_variants_of_the_reference_networks_are_those():
    for name, kind in (("dwca", DWCABlock), ("baseline", BaselineBlock)):
        assert parameters(small(name)) == parameters(nets.classifier(num_classes=5, width=0.25, block=name))
        assert type(small(name).trunk.stages[0][0]) is kind


@pytest.mark.parametrize("make", [classifier, detector])
def test_an_unknown_variant_is_refused(make):
    with pytest.raises(UsageError, match="variant='cbam' cannot be") as caught:
        make("cbam")
    assert ", ".join(controls.BLOCKS) in caught.value.hint
