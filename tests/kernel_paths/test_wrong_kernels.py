"""Kernels of ncnn that compute nonsense: named where they are taken, and only there."""

from __future__ import annotations

import ncnn
import numpy as np
import pytest
from chains import depthwise

from dwca_export.kernel_paths import findings, host_target, lint


def wrong(param, side, target, mode):
    layer = param.layers[1]
    channels, out = layer.int(0, 0), (side - 1) // layer.int(3, 1) + 1
    shapes = {"in0": (channels, side, side), "dw": (channels, out, out)}
    found = findings(lint(param, shapes, targets=(target,), modes=(mode,)))
    return [(one.layer, one.kind) for one in found if one.kind == "wrong"]


@pytest.mark.parametrize(("side", "hit"), [(28, True), (14, True), (12, True), (16, False), (8, False)])
def test_3x3_of_stride_2_in_fp16_arithmetic(side, hit):
    """Output widths of 14, 7 and 6; of 8 and 4."""
    found = wrong(depthwise(16, 3, 2), side, "armv8.2", "fp16-arithmetic")
    assert found == ([("dw", "wrong")] if hit else [])


@pytest.mark.parametrize(
    ("param", "target", "mode"),
    [
        (depthwise(16, 3), "armv8.2", "fp16-arithmetic"),
        (depthwise(16, 5, 2), "armv8.2", "fp16-arithmetic"),
        (depthwise(12, 3, 2), "armv8.2", "fp16-arithmetic"),
        (depthwise(16, 3, 2), "armv8.2", "fp16-storage"),
        (depthwise(16, 3, 2), "armv8", "fp16-arithmetic"),
        (depthwise(16, 3, 2), "x86-avx512", "fp16-arithmetic"),
        (depthwise(6, 3), "x86-avx512", "bf16-storage"),
        (depthwise(8, 5), "x86-avx512", "bf16-storage"),
        (depthwise(6, 5), "x86-avx512", "fp32"),
        (depthwise(6, 5), "armv8.2", "bf16-storage"),
    ],
)
def test_others_are_left_alone(param, target, mode):
    assert wrong(param, 28, target, mode) == []


@pytest.mark.parametrize("kernel", [1, 5, 7])
def test_unpacked_groups_in_bf16_on_x86(kernel):
    for target in ("x86-avx2", "x86-avx512"):
        assert wrong(depthwise(6, kernel), 9, target, "bf16-storage") == [("dw", "wrong")]


def run(param, channels, kernel, folder, *, bf16):
    """What ncnn computes on this machine."""
    generator = np.random.default_rng(0)
    weights = generator.standard_normal(channels * kernel * kernel).astype(np.float32)
    (folder / "net.param").write_text(param.text(), encoding="utf-8")
    (folder / "net.bin").write_bytes(bytes(4) + weights.tobytes())
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = bf16
    assert net.load_param(str(folder / "net.param")) == 0
    assert net.load_model(str(folder / "net.bin")) == 0
    image = generator.standard_normal((channels, 9, 9)).astype(np.float32)
    with net.create_extractor() as extractor:
        extractor.input("in0", ncnn.Mat(image).clone())
        return np.array(extractor.extract("dw")[1])


@pytest.mark.parametrize(("channels", "kernel"), [(6, 5), (6, 7), (6, 3), (8, 5)])
def test_bf16_on_this_machine_is_as_the_facts_say(tmp_path, channels, kernel):
    """Once ncnn is mended, this tells that the fact is out of date."""
    target = host_target()
    if target is None or target.family != "x86":
        pytest.skip("x86 only")
    param = depthwise(channels, kernel)
    right, half = (run(param, channels, kernel, tmp_path, bf16=bf16) for bf16 in (False, True))
    agrees = np.isfinite(half).all() and np.linalg.norm(half - right) < 0.1 * np.linalg.norm(right)
    assert agrees == (wrong(param, 9, target.name, "bf16-storage") == [])
