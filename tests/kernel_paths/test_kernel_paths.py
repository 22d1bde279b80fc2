"""The predictions themselves: facts read in ncnn's source that no blob shows."""

from __future__ import annotations

import json
from pathlib import Path

import facts_table
import pytest
from chains import depthwise, param

from dwca_export.errors import ConversionError, UsageError
from dwca_export.kernel_paths import MODES, TARGETS, findings, lint, to_json
from dwca_export.kernel_paths.facts import FACTS, NCNN_COMMIT, NCNN_DATE
from dwca_export.kernel_paths.machine import x86_target
from dwca_export.ncnn.layouts import SLOTS, WEIGHTLESS
from dwca_export.ncnn.param import Param

ROOT = Path(__file__).parents[2]
ARM = ("armv8.2",)
X86 = ("x86-avx512",)


def dense(n_in, n_out, size=3, stride=1, extra=""):
    return param(f"Convolution conv 0={n_out} 1={size} 3={stride} 4={size // 2} 6={n_in * n_out * size * size} {extra}")


def path(network, n, target, mode, size=28):
    shapes = dict.fromkeys(network.blobs, (n, size, size))
    shapes["conv"] = (network.layers[1].int(0, 0), size, size)
    return lint(network, shapes, (target,), (mode,))[0]


@pytest.mark.parametrize(
    ("n", "target", "mode", "kernel", "speed"),
    [
        (64, "armv8", "fp32", "convdw5x5s1_pack4_neon", "fast"),
        (62, "armv8", "fp32", "convdw5x5s1_neon", "fast"),
        (64, "armv8.2", "bf16-storage", "convdw5x5s1_pack4_bf16s_neon", "fast"),
        (62, "armv8.2", "bf16-storage", "scalar loop over the window, bf16", "scalar"),
        (64, "armv8.2", "fp16-arithmetic", "convdw5x5s1_pack8_fp16sa_neon", "fast"),
        (60, "armv8.2", "fp16-arithmetic", "loop over the window, pack4, fp16", "generic"),
        (64, "armv8.2", "fp16-storage", "loop over the window, pack4, fp16 widened to fp32", "generic"),
        (64, "armv8", "fp16-storage", "convdw5x5s1_pack4_neon", "fast"),
        (64, "armv8", "int8", "int8 loop over the window, pack8", "generic"),
        (64, "x86-avx512", "fp32", "convdw5x5s1_pack16_avx512", "fast"),
        (64, "x86-avx2", "bf16-storage", "convdw5x5s1_pack8_avx", "fast"),
        (60, "x86-avx512", "fp32", "convdw5x5s1_pack4_sse", "fast"),
        (62, "x86-avx512", "fp32", "one dense Convolution for each group, one channel wide", "scalar"),
    ],
)
def test_depthwise_5x5(n, target, mode, kernel, speed):
    found = path(depthwise(n), n, target, mode)
    assert (found.kernel, found.speed) == (kernel, speed)
    assert found.fast == (speed == "fast")
    assert found.packed == (n % 4 == 0)


@pytest.mark.parametrize(
    ("size", "stride", "activation", "target", "kernel"),
    [
        (3, 1, 0, "armv8", "convdw3x3s1_pack8_int8_neon"),
        (3, 2, 1, "armv8", "convdw3x3s2_pack8_int8_neon"),
        (3, 1, 6, "armv8", "int8 loop over the window, pack8"),
        (3, 1, 0, "x86-avx2", "int8 loop over the window, pack8"),
        (7, 1, 0, "armv8", "int8 loop over the window, pack8"),
    ],
)
def test_depthwise_int8_is_for_3x3_and_relu_alone(size, stride, activation, target, kernel):
    assert path(depthwise(64, size, stride, f"9={activation}"), 64, target, "int8").kernel == kernel


@pytest.mark.parametrize(
    ("n_in", "n_out", "size", "target", "mode", "kernel"),
    [
        (64, 64, 3, "armv8", "fp32", "conv3x3s1_winograd63"),
        (256, 64, 3, "armv8", "fp32", "conv3x3s1_winograd43"),
        (256, 4, 3, "armv8", "fp32", "conv3x3s1_winograd23"),
        (3, 4, 3, "armv8", "fp32", "conv3x3s1_pack1to4_neon"),
        (64, 64, 3, "armv8.2", "fp16-arithmetic", "conv3x3s1_winograd63_fp16sa"),
        (64, 64, 3, "armv8.2", "fp16-storage", "convolution_packed_fp16s"),
        (64, 64, 1, "armv8.2", "fp16-storage", "convolution_packed_fp16s"),
        (64, 64, 1, "armv8.2", "fp16-arithmetic", "convolution_im2col_gemm_fp16sa"),
        (64, 64, 1, "armv8.2", "bf16-storage", "convolution_im2col_gemm_bf16s"),
        (64, 64, 3, "x86-avx2", "fp32", "conv3x3s1_winograd43"),
        (32, 32, 3, "x86-avx2", "fp32", "conv3x3s1_winograd63"),
        (1, 8, 3, "x86-avx2", "fp32", "conv3x3s1_pack1to8_avx"),
        (64, 64, 1, "x86-avx2", "int8", "convolution_im2col_gemm_int8"),
        (16, 16, 11, "x86-avx2", "fp32", "not known"),  # by the size of the L2 cache
    ],
)
def test_dense_convolutions(n_in, n_out, size, target, mode, kernel):
    assert path(dense(n_in, n_out, size), n_in, target, mode).kernel == kernel


@pytest.mark.parametrize(
    ("mask", "kernel", "unmasked"),
    [
        (0, "conv3x3s1_winograd43", ""),
        (64, "convolution_im2col_gemm", "conv3x3s1_winograd43"),
        (96, "conv3x3s1_pack8_avx", "conv3x3s1_winograd43"),
        (16, "conv3x3s1_winograd43", ""),
    ],
)
def test_masks_cost_kernels(mask, kernel, unmasked):
    found = path(dense(64, 64, extra=f"31={mask}"), 64, "x86-avx2", "fp32")
    assert (found.kernel, found.unmasked) == (kernel, unmasked)
    assert [finding.kind for finding in findings([found])] == (["mask"] if unmasked else [])


def test_the_mask_of_fp16_arithmetic_costs_a_depthwise_kernel():
    found = path(depthwise(64, extra="31=1"), 64, "armv8.2", "fp16-arithmetic")
    assert found.kernel == "loop over the window, pack4, fp16 widened to fp32"
    assert found.unmasked == "convdw5x5s1_pack8_fp16sa_neon"
    assert [finding.kind for finding in findings([found])] == ["generic", "mask"]


def test_the_int8_mask_does_nothing():
    found = path(depthwise(64, extra="31=8"), 64, "armv8", "int8")
    assert "int8" in found.kernel
    assert findings([found])[-1].what == "31=8 does nothing on CPUs: no kernel asks for it"


@pytest.mark.parametrize(
    ("mask", "target", "mode", "is_wrong"),
    [
        (2, "armv8.2", "fp16-arithmetic", True),
        (2, "armv8", "fp16-arithmetic", False),
        (4, "armv8", "bf16-storage", True),
        (4, "x86-avx2", "bf16-storage", True),
        (2, "x86-avx2", "fp16-arithmetic", False),
        (1, "armv8.2", "fp16-arithmetic", False),
    ],
)
def test_storage_masks_misread_what_they_get(mask, target, mode, is_wrong):
    network = param("Convolution a 0=16 1=1 6=256", f"Sigmoid b 31={mask}")
    paths = lint(network, dict.fromkeys(network.blobs, (16, 5, 5)), (target,), (mode,))
    assert (paths[1].speed == "wrong") == is_wrong
    assert ("wrong" in {finding.kind for finding in findings(paths)}) == is_wrong


def test_a_storage_mask_on_the_first_layer_is_safe():
    network = param("Convolution a 0=16 1=1 6=256 31=4", "Sigmoid b")
    paths = lint(network, dict.fromkeys(network.blobs, (16, 5, 5)), ("armv8",), ("bf16-storage",))
    assert [found.speed for found in paths] == ["fast", "fast"]
    assert paths[1].conversions == ("cast fp32 to bf16",)


@pytest.mark.parametrize(
    ("network", "n", "target", "mode", "kind", "remedy"),
    [
        (depthwise(60), 60, "armv8.2", "fp16-arithmetic", "generic",
         "64 instead of 60 channels, or fp32 or bf16 storage for this layer"),
        (depthwise(60), 60, "x86-avx512", "fp32", "narrow", "64 instead of 60 channels"),
        (depthwise(62), 62, "x86-avx512", "fp32", "scalar", "64 instead of 62 channels"),
        (depthwise(64), 64, "armv8.2", "fp16-storage", "generic", "fp16 arithmetic instead of storage alone, or fp32"),
        (param("Pooling p 0=1 7=1 8=1 18=1"), 64, "armv8", "fp32", "scalar",
         "a fixed-size export instead of --dynamic pools with a fixed kernel, packed"),
        (param("GroupNorm g 0=4 1=16"), 16, "x86-avx512", "fp32", "copies", "groups of 16 instead of 4 channels"),
        (param("Permute p 0=3"), 16, "armv8", "fp32", "scalar",
         "a Reshape instead, where one of the exchanged axes is 1"),
    ],
)  # fmt: skip
def test_findings_have_remedies(network, n, target, mode, kind, remedy):
    found = findings([path(network, n, target, mode)])
    assert (found[0].kind, found[0].remedy) == (kind, remedy)


@pytest.mark.parametrize("network", [depthwise(64), dense(64, 64), param("Sigmoid s"), param("GroupNorm g 0=1 1=64")])
def test_look_alikes_have_no_findings(network):
    assert findings([path(network, 64, "armv8", "fp32")]) == ()


def test_what_was_not_read_is_not_known():
    network = param("Convolution a 0=16 1=1 6=256", "LRN b", "HardSigmoid c", "Sigmoid d")
    paths = lint(network, dict.fromkeys(network.blobs, (16, 5, 5)), X86, ("fp32",))
    assert [found.fast for found in paths] == [True, None, None, True]  # HardSigmoid takes whatever packing there is
    assert paths[1].kernel == "not known"
    assert paths[1].packed is None or paths[1].written[0].elempack is None
    assert [finding.kind for finding in findings(paths)] == ["unknown", "unknown"]


def test_what_x86_does_not_store_in_16_bits_is_told():
    network = param("Convolution a 0=16 1=1 6=256", "ConvolutionDepthWise b 0=16 1=5 4=2 6=400 7=16")
    paths = lint(network, dict.fromkeys(network.blobs, (16, 5, 5)), X86, ("bf16-storage",))
    assert paths[1].conversions == ("cast bf16 to fp32",)
    assert [finding.kind for finding in findings(paths)] == ["casts"]


def test_torch_modules_are_named():
    found = path(param("Sigmoid head.act#2"), 8, "armv8", "fp32")
    assert (found.layer, found.module) == ("head.act#2", "head.act")
    text = "7767517\n2 2\nInput in0 0 1 in0\nSigmoid sigmoid_3 1 1 in0 7\n"
    assert lint(Param.parse(text), {"in0": (4, 2, 2), "7": (4, 2, 2)}, ARM, ("fp32",))[0].module == ""


def test_paths_come_for_every_target_mode_and_layer():
    network = param("Sigmoid a", "ReLU b")
    paths = lint(network, dict.fromkeys(network.blobs, (8, 3, 3)))
    assert [(found.target, found.mode, found.layer) for found in paths] == [
        (target, mode, layer) for target in TARGETS for mode in MODES for layer in "ab"
    ]


def test_json_can_be_written():
    network = depthwise(60)
    document = json.loads(json.dumps(to_json(lint(network, dict.fromkeys(network.blobs, (60, 5, 5))))))
    assert document["ncnn"]["date"] == "2026-07-22"
    assert len(document["paths"]) == len(TARGETS) * len(MODES)
    assert document["paths"][0]["read"] == {"shape": [60, 5, 5], "elempack": 4, "storage": "fp32"}
    assert {finding["kind"] for finding in document["findings"]} == {"generic", "scalar", "narrow"}


def test_refusals():
    network = depthwise(8)
    shapes = dict.fromkeys(network.blobs, (8, 3, 3))
    with pytest.raises(UsageError, match="no target 'riscv'"):
        lint(network, shapes, ("riscv",))
    with pytest.raises(UsageError, match="no precision mode 'fp8'"):
        lint(network, shapes, ARM, ("fp8",))
    with pytest.raises(ConversionError, match="no shape for blob 'dw'"):
        lint(network, {"in0": (8, 3, 3)})


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("avx2 fma f16c avx512f avx512bw avx512cd avx512dq avx512vl", "x86-avx512"),
        ("avx2 fma f16c avx512f", "x86-avx2"),
        ("avx", None),
    ],
)
def test_x86_machines_are_told_apart(flags, name):
    target = x86_target(f"model name : avx2 fma\nflags\t\t: fpu {flags}\n")
    assert (target and target.name) == name


def test_the_table_is_sound():
    types = set(SLOTS) | WEIGHTLESS
    traits = {(row.type, row.family) for row in FACTS.traits}
    for row in FACTS.kernels:
        assert row.type in types
        assert (row.type, row.family) in traits
        assert row.speed in {"fast", "unknown"} or row.remedy or "mask 32" in row.reason
    assert {row.type for row in FACTS.outputs} == {name for name, _ in traits}
    # The last row of a type holds for every case: nothing falls through by accident.
    for layer_type, family in traits:
        last = [row for row in FACTS.kernels if (row.type, row.family) == (layer_type, family)][-1]
        assert last.when == (), last


def test_the_documentation_has_the_table():
    page = (ROOT / "docs/pages/kernel-paths.md").read_text(encoding="utf-8")
    assert "\n".join(facts_table.lines()) in page, "python tests/kernel_paths/facts_table.py writes it"
    assert NCNN_COMMIT[:8] in page
    assert NCNN_DATE in page
