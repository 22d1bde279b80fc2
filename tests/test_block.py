"""The DWCA block against a naive float64 re-computation, and every argument that it refuses."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dwca_export.block import DWCABlock
from dwca_export.errors import UsageError

PUBLISHED_SHAPES = {
    "dw_conv.weight": (16, 1, 5, 5),
    "pw_conv.weight": (24, 16, 1, 1),
    "bn.weight": (24,),
    "bn.bias": (24,),
    "bn.running_mean": (24,),
    "bn.running_var": (24,),
    "bn.num_batches_tracked": (),
    "conv_pool.weight": (8, 24, 1, 1),
    "conv_pool.bias": (8,),
    "gn.weight": (8,),
    "gn.bias": (8,),
    "conv_h.weight": (24, 8, 1, 1),
    "conv_h.bias": (24,),
    "conv_w.weight": (24, 8, 1, 1),
    "conv_w.bias": (24,),
}


def published_state(seed=0):
    generator = torch.Generator().manual_seed(seed)
    state = {name: torch.rand(shape, generator=generator) + 0.1 for name, shape in PUBLISHED_SHAPES.items()}
    state["bn.num_batches_tracked"] = torch.tensor(7)
    return state


def random_block(seed=0, **arguments):
    """A block in float64 whose every parameter and statistic is away from its initial value."""
    generator = torch.Generator().manual_seed(seed)
    block = DWCABlock(**arguments).double().eval()
    for name, tensor in block.state_dict().items():
        if tensor.is_floating_point():
            low = 0.5 if name.endswith("running_var") else -1.0
            tensor.uniform_(low, 1.5, generator=generator)
    return block


def hardswish(x):
    return x * np.clip(x + 3, 0, 6) / 6


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def pointwise(x, weight, bias=None):
    out = np.einsum("oc,nchw->nohw", weight[:, :, 0, 0], x)
    return out if bias is None else out + bias[:, None, None]


def depthwise(x, weight, stride):
    kernel = weight.shape[-1]
    half = kernel // 2
    padded = np.pad(x, ((0, 0), (0, 0), (half, half), (half, half)))
    rows = range(0, x.shape[2], stride)
    columns = range(0, x.shape[3], stride)
    out = np.zeros((*x.shape[:2], len(rows), len(columns)))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = padded[:, :, row : row + kernel, column : column + kernel]
            out[:, :, i, j] = (window * weight[:, 0]).sum((2, 3))
    return out


def group_norm(x, groups, weight, bias):
    grouped = x.reshape(x.shape[0], groups, -1)
    centred = grouped - grouped.mean(2, keepdims=True)
    normalised = centred / np.sqrt((centred**2).mean(2, keepdims=True) + 1e-5)
    return normalised.reshape(x.shape) * weight[:, None, None] + bias[:, None, None]


def reference(block, x, *, joint=True):
    """The block in numpy; `joint=False` normalises the two strips apart, which is wrong."""
    p = {name: tensor.numpy() for name, tensor in block.state_dict().items()}
    f = pointwise(depthwise(x, p["dw_conv.weight"], block.dw_conv.stride[0]), p["pw_conv.weight"])
    f = (f - p["bn.running_mean"][:, None, None]) / np.sqrt(p["bn.running_var"] + 1e-5)[:, None, None]
    f = hardswish(f * p["bn.weight"][:, None, None] + p["bn.bias"][:, None, None])
    height = f.shape[2]
    strips = np.concatenate([f.mean(3, keepdims=True), f.mean(2)[..., None]], axis=2)
    y = pointwise(strips, p["conv_pool.weight"], p["conv_pool.bias"])
    parts = [y] if joint else [y[:, :, :height], y[:, :, height:]]
    norm = [group_norm(part, block.gn.num_groups, p["gn.weight"], p["gn.bias"]) for part in parts]
    y = hardswish(np.concatenate(norm, axis=2))
    a_h = sigmoid(pointwise(y[:, :, :height], p["conv_h.weight"], p["conv_h.bias"]))
    a_w = sigmoid(pointwise(y[:, :, height:], p["conv_w.weight"], p["conv_w.bias"])).transpose(0, 1, 3, 2)
    out = f * a_h * a_w
    return x + out if block.use_res else out


def run(block, x):
    with torch.no_grad():
        return block(torch.from_numpy(x)).numpy()


def test_published_names_are_attributes():
    names = ["dw_conv", "pw_conv", "bn", "act", "pool_h", "pool_w", "conv_pool", "gn", "conv_h", "conv_w", "use_res"]
    block = DWCABlock(16, 24)
    assert [name for name in names if not hasattr(block, name)] == []
    assert isinstance(block.act, torch.nn.Hardswish)
    assert block.pool_h.output_size == (None, 1)
    assert block.pool_w.output_size == (1, None)


def test_a_published_state_dict_loads_strictly():
    state = published_state()
    block = DWCABlock(16, 24)
    block.load_state_dict(state, strict=True)
    loaded = block.state_dict()
    assert list(loaded) == list(state)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize(
    ("name", "renamed"), [("conv_pool.weight", "conv1.weight"), ("gn.weight", "bn1.weight"), ("dw_conv.weight", None)]
)
def test_another_state_dict_does_not_load(name, renamed):
    state = published_state()
    tensor = state.pop(name)
    if renamed:
        state[renamed] = tensor
    with pytest.raises(RuntimeError, match=name):
        DWCABlock(16, 24).load_state_dict(state, strict=True)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 5), (7, 7), (17, 16)])
@pytest.mark.parametrize(
    "arguments",
    [
        {"c1": 16, "c2": 16},
        {"c1": 8, "c2": 24, "kernel_size": 3},
        {"c1": 8, "c2": 8, "kernel_size": 7, "stride": 2},
        {"c1": 8, "c2": 16, "kernel_size": 1, "stride": 3},
        {"c1": 4, "c2": 48, "reduction": 4, "groups": 6},
        {"c1": 16, "c2": 16, "residual": False},
    ],
)
def test_forward_computes_the_definition(arguments, size):
    block = random_block(**arguments)
    x = np.random.default_rng(1).standard_normal((2, arguments["c1"], *size))
    np.testing.assert_allclose(run(block, x), reference(block, x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [(8, 8), (8, 5)])
def test_group_norm_sees_both_strips_together(size):
    block = random_block(c1=16, c2=16)
    seen = []
    block.gn.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    x = np.random.default_rng(2).standard_normal((2, 16, *size))
    out = run(block, x)
    assert seen == [(2, 8, sum(size), 1)]
    apart = reference(block, x, joint=False)
    assert np.abs(out - apart).max() > 1e-3


def test_float16_and_bfloat16_keep_their_type():
    for dtype in (torch.float16, torch.bfloat16):
        block = DWCABlock(16, 16).to(dtype).eval()
        assert block(torch.ones(1, 16, 6, 6, dtype=dtype)).dtype == dtype


@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    kernel_size=st.sampled_from([1, 3, 5, 7]),
    stride=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_transposing_image_and_block_transposes_the_output(height, width, kernel_size, stride):
    block = random_block(c1=4, c2=8, kernel_size=kernel_size, stride=stride)
    state = dict(block.state_dict())
    state["dw_conv.weight"] = state["dw_conv.weight"].transpose(2, 3)
    for end in ("weight", "bias"):
        state[f"conv_h.{end}"], state[f"conv_w.{end}"] = state[f"conv_w.{end}"], state[f"conv_h.{end}"]
    turned = DWCABlock(4, 8, kernel_size, stride).double().eval()
    turned.load_state_dict(state)
    x = np.random.default_rng(height * 100 + width).standard_normal((1, 4, height, width))
    out = run(block, x)
    assert out.shape == (1, 8, -(-height // stride), -(-width // stride))
    np.testing.assert_allclose(run(turned, x.transpose(0, 1, 3, 2)), out.transpose(0, 1, 3, 2), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("stride", "c2", "residual", "expected"),
    [
        (1, 16, "auto", True),
        (1, 24, "auto", False),
        (2, 16, "auto", False),
        (1, 16, True, True),
        (1, 16, False, False),
        (2, 24, False, False),
    ],
)
def test_residual(stride, c2, residual, expected):
    assert DWCABlock(16, c2, stride=stride, residual=residual).use_res is expected


@pytest.mark.parametrize(("stride", "c2"), [(2, 16), (1, 24)])
def test_a_forced_residual_that_cannot_be_is_refused(stride, c2):
    with pytest.raises(UsageError, match=f"residual is impossible at stride={stride}, c1=16, c2={c2}") as caught:
        DWCABlock(16, c2, stride=stride, residual=True)
    assert 'residual="auto"' in caught.value.hint


def test_an_unknown_residual_is_refused():
    with pytest.raises(UsageError, match="residual='yes'"):
        DWCABlock(16, 16, residual="yes")


@pytest.mark.parametrize(
    ("c2", "reduction", "groups", "mid", "choices"),
    [(16, 16, 3, 8, "1, 2, 4, 8"), (160, 16, 4, 10, "1, 2, 5, 10"), (48, 4, 16, 12, "1, 2, 3, 4, 6, 12")],
)
def test_groups_that_do_not_divide_are_refused_with_the_choices(c2, reduction, groups, mid, choices):
    with pytest.raises(UsageError, match=f"groups={groups} does not divide the {mid} reduced channels") as caught:
        DWCABlock(16, c2, reduction=reduction, groups=groups)
    assert f"groups can be {choices};" in caught.value.hint
    for choice in choices.split(", "):
        DWCABlock(16, c2, reduction=reduction, groups=int(choice))


@pytest.mark.parametrize("kernel_size", [2, 4, 6])
def test_even_kernels_are_refused(kernel_size):
    with pytest.raises(UsageError, match=f"kernel_size={kernel_size} is even") as caught:
        DWCABlock(16, 16, kernel_size=kernel_size)
    assert f"{kernel_size - 1} or {kernel_size + 1}" in caught.value.hint


@pytest.mark.parametrize("name", ["c1", "c2", "kernel_size", "stride", "reduction", "groups"])
@pytest.mark.parametrize("value", [0, -1])
def test_arguments_below_one_are_refused(name, value):
    with pytest.raises(UsageError, match=f"{name}={value} is not positive"):
        DWCABlock(**{"c1": 16, "c2": 16, name: value})


def test_torch_is_all_that_it_imports():
    heavy = "{'onnx', 'onnxruntime', 'onnxscript', 'onnxsim', 'pnnx', 'ncnn'}"
    code = f"import sys, dwca_export.block; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
