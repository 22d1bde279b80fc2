"""The table of facts against what the installed ncnn does on this machine."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hand_made
import kernel_layouts
import pytest

from dwca_export.kernel_paths import MODES, TARGETS, host_target, lint
from dwca_export.kernel_paths.facts import FACTS
from dwca_export.kernel_paths.facts.rows import Output
from dwca_export.kernel_paths.outputs import as_input, packed_anew

ROOT = Path(__file__).parents[2]
IS_X86 = host_target() in {TARGETS["x86-avx2"], TARGETS["x86-avx512"]}

pytestmark = pytest.mark.skipif(host_target() is None, reason="the table has no facts for this machine")


@pytest.mark.parametrize("n", kernel_layouts.CHANNELS)
def test_every_blob_is_left_as_predicted(n):
    for name, network, modes in kernel_layouts.networks([n]):
        for mode in modes:
            assert kernel_layouts.wrong_lines(network, mode) == [], (name, mode)


@pytest.fixture(scope="module", params=["fixed", pytest.param("any", marks=pytest.mark.slow)])
def bundle(request, tmp_path_factory):
    """The trained classifier, for its own size or for every size."""
    out = tmp_path_factory.mktemp("out")
    model, arch = ROOT / "models/zoo/fashion_dwca.pt", ROOT / "models/nets.py:classifier"
    options = ["--samples", "1", "-q", *(["--dynamic"] if request.param == "any" else [])]
    command = [sys.executable, "-m", "dwca_export.cli.export", model, "--arch", arch, "--out", out, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "fashion_dwca_ncnn_model"


@pytest.mark.parametrize("mode", kernel_layouts.FLOATS)
def test_the_trained_network_is_as_predicted(bundle, mode):
    assert kernel_layouts.wrong_lines_of_bundle(bundle, mode) == []


def with_trait(layer_type, **wrong):
    rows = (replace(row, **wrong) if row.type == layer_type else row for row in FACTS.traits)
    return replace(FACTS, traits=tuple(rows))


def with_output(layer_type, layout):
    rows = (Output(layer_type, layout) if row.type == layer_type else row for row in FACTS.outputs)
    return replace(FACTS, outputs=tuple(rows))


def differences(facts, n, mode):
    networks = [network for _, network, modes in kernel_layouts.networks([n]) if mode in modes]
    return [line for network in networks for line in kernel_layouts.wrong_lines(network, mode, facts)]


@pytest.mark.parametrize(
    ("facts", "n", "mode", "layer_type"),
    [
        (with_trait("BinaryOp", packing=False), 64, "fp32", "BinaryOp"),
        (with_trait("Pooling", when=()), 64, "fp32", "Pooling"),
        (with_trait("GroupNorm", bf16=False), 64, "bf16-storage", "GroupNorm"),
        (with_trait("ConvolutionDepthWise", bf16=IS_X86), 64, "bf16-storage", "ConvolutionDepthWise"),
        (with_output("ConvolutionDepthWise", packed_anew), 60, "int8", "ConvolutionDepthWise"),
        (with_output("Convolution", as_input), 60, "fp32", "Convolution"),
        (with_output("Crop", as_input), 12, "fp32", "Crop"),
        (with_output("InnerProduct", packed_anew), 60, "int8", "InnerProduct"),
    ],
)
def test_a_wrong_fact_is_found(facts, n, mode, layer_type):
    assert differences(FACTS, n, mode) == []
    assert any(line.startswith(f"{layer_type} ") for line in differences(facts, n, mode))


def test_a_wrong_target_is_found():
    """Were this machine taken for another one, blobs would tell."""
    network = hand_made.finish(hand_made.graph(*kernel_layouts.convolutions(64)))
    _, seen = kernel_layouts.predicted_and_seen(network, "fp32")
    shapes = {blob: look.shape for blob, look in seen.items()}
    other = "x86-avx2" if host_target().name == "x86-avx512" else "x86-avx512"
    assert kernel_layouts.mismatches(lint(network.param, shapes, (other,), ("fp32",)), network.param, seen)


MASKED = """
import sys
sys.path.insert(0, {tests!r})
import hand_made, kernel_layouts
network = hand_made.finish(hand_made.graph(
    "Input -> in0", "Convolution in0 -> a 0=16 1=1 6=48", "Sigmoid a -> b 31={mask}", "Sigmoid b -> c"))
paths, seen = kernel_layouts.predicted_and_seen(network, "bf16-storage")
print(paths[1].speed, seen["1"].storage, "->", seen["2"].storage)
"""


def run_masked(mask):
    code = MASKED.format(tests=str(ROOT / "tests"), mask=mask)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_mask_behind_16_bit_blobs_is_wrong_as_predicted():
    # ncnn takes 16 bit numbers for 32 bit ones and runs over the end of the blob: it crashes, or nothing is cast.
    done = run_masked(4)
    assert done.returncode < 0 or done.stdout.startswith("wrong bf16 -> bf16"), done
    assert run_masked(1).stdout == "fast bf16 -> bf16\n"


def test_modes_are_those_of_the_runner():
    from dwca_export.runners.ncnn import MODES as RUN

    assert tuple(MODES)[: len(RUN)] == RUN
