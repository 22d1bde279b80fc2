from __future__ import annotations

import pytest
import torch
from hand_made import assert_close, model, noise, run
from torch import nn

from dwca_export.block import DWCABlock
from dwca_export.ncnn.passes import PASSES
from dwca_export.optimise import optimise

SQUARE, WIDE = (1, 64, 56, 56), (1, 64, 56, 48)


@pytest.fixture(scope="module")
def block():
    torch.manual_seed(0)
    module = DWCABlock(64, 64).eval()
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm2d, nn.GroupNorm)):
            for tensor in (*part.parameters(), *part.buffers()):
                if tensor.is_floating_point():
                    nn.init.uniform_(tensor, 0.5, 2.0)
    return module


def reference(module, x):
    with torch.inference_mode():
        return module(torch.from_numpy(x)[None])[0].numpy()


def returned(module, x):
    """What each module of the network returns, the first time that it is called."""
    seen = {}

    def note(name):
        def hook(_module, _arguments, value):
            seen.setdefault(name, value[0].numpy())

        return hook

    hooks = [part.register_forward_hook(note(name)) for name, part in module.named_modules()]
    reference(module, x)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize(
    ("shape", "layers", "passes"),
    [
        (SQUARE, 18, ("remove_dead", "fuse_activation", "stack_strips")),
        (WIDE, 19, ("remove_dead", "fuse_activation")),
    ],
)
def test_a_block_of_fixed_size(convert, block, shape, layers, passes):
    before = convert(block, shape)
    after, applied = optimise(before)

    assert set(applied) >= {name for name in passes if name != "remove_dead"}
    assert set(applied) <= set(passes)
    assert len(after.param.layers) == layers
    types = [layer.type for layer in after.param.layers]
    assert "Permute" not in types
    poolings = [layer for layer in after.param.layers if layer.type == "Pooling"]
    assert len(poolings) == 2
    assert not any(layer.int(7, 0) for layer in poolings), "adaptive pooling drops the packing"
    (entry,) = (layer for layer in after.param.layers if layer.type == "Input")
    assert (entry.int(2), entry.int(1), entry.int(0)) == shape[1:]

    x = noise(*shape[1:])
    expected = reference(block, x)
    assert_close([run(before, [x])["out0"]], [expected])
    assert_close([run(after, [x])["out0"]], [expected])


def test_blobs_are_called_as_the_torch_modules(convert, block):
    after, _ = optimise(convert(block, SQUARE))
    x = noise(*SQUARE[1:])
    seen = returned(block, x)

    taps = {tap.name: tap for tap in after.tapped}
    modules = ["dw_conv", "act", "pool_h", "pool_w", "conv_pool"]
    assert set(modules) <= set(taps)
    assert all(taps[name].blob == name for name in taps)
    found = run(after, [x], modules)
    for name in modules:
        value = found[name]
        if taps[name].stacked_groups:
            value = value.reshape(taps[name].stacked_groups, 2, -1, 56, 1).swapaxes(0, 1).reshape(2, -1, 56, 1)
            value = value.transpose(1, 0, 2, 3).reshape(-1, 112, 1)
        assert_close([value], [seen[name]])


def test_modules_that_are_called_as_numbers(convert):
    """In a Sequential, a module is called `1` and so would the first blob be."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.Hardswish(),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(8, 8, 3, 1, 1),
        nn.Dropout(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    ).eval()
    before = convert(module, (1, 3, 20, 24))
    after, applied = optimise(before)
    x = noise(3, 20, 24)
    assert "fuse_activation" in applied
    assert_close([run(after, [x])["out0"]], [reference(module, x)])
    with torch.inference_mode():
        act, pooled = (module[:last](torch.from_numpy(x)[None])[0].numpy() for last in (2, 3))
    taps = {tap.name: tap.blob for tap in after.tapped}
    assert_close(list(run(after, [x], [taps["1"], taps["2"]]).values()), [act, pooled])


def test_each_pass_keeps_what_the_block_computes(convert, block):
    from dwca_export.ncnn.graph import from_model, to_model

    before = convert(block, SQUARE)
    x = noise(*SQUARE[1:])
    expected = reference(block, x)
    graph = from_model(before)
    for _, apply in PASSES:
        graph, _ = apply(graph)
        assert_close([run(to_model(graph, before), [x])["out0"]], [expected])


def test_inputs_of_every_rank_carry_their_shape():
    text = """Input in0 0 1 in0
              Input in1 0 1 in1
              Input in2 0 1 in2
              ReLU a 1 1 in0 out0
              ReLU b 1 1 in1 out1
              ReLU c 1 1 in2 out2"""
    before = model(text, outputs=3)
    shapes = ((1, 4, 5, 6), (1, 7, 8), (1, 9))
    inputs = tuple(type(spec)(spec.name, shape) for spec, shape in zip(before.inputs, shapes, strict=True))
    after, applied = optimise(type(before)(before.param, before.weights, inputs, before.outputs))
    assert applied == ()
    entries = [dict(layer.params) for layer in after.param.layers if layer.type == "Input"]
    assert entries == [{0: "6", 1: "5", 2: "4"}, {0: "8", 1: "7"}, {0: "9"}]
    arrays = [noise(*shape[1:]) for shape in shapes]
    assert_close(list(run(after, arrays).values()), [array.clip(0) for array in arrays], tolerance=0)
