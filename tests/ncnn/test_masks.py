from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hand_made import noise, random_weights

from dwca_export.artifacts import TensorSpec
from dwca_export.errors import ConversionError
from dwca_export.ncnn.masks import (
    NO_BF16_STORAGE,
    NO_FP16_ARITHMETIC,
    NO_FP16_STORAGE,
    check_masks,
    mask_of,
    with_masks,
)
from dwca_export.ncnn.param import Param
from dwca_export.ncnn.weights import write_weights
from dwca_export.runners.ncnn import NcnnRunner

NO_FP16 = NO_FP16_ARITHMETIC | NO_FP16_STORAGE
TEXT = """7767517
8 10
Input in0 0 1 in0
Split s0 1 2 in0 in0_a in0_b
Convolution a 1 1 in0_a a 0=16 1=3 4=1 5=1 6=1152
Split s1 1 2 a a_a a_b
HardSwish b 1 1 a_a b 0=0.16666667 1=0.5
Convolution c 1 1 in0_b c 0=16 1=1 5=1 6=128
BinaryOp d 2 1 b c d 0=2
BinaryOp e 2 1 a_b d out0 0=0
"""
PARAM = Param.parse(TEXT)
BLOBS = ("a", "b", "c", "d", "out0")
COMPUTING = ("a", "b", "c", "d", "e")
MODE_OF = {NO_BF16_STORAGE: "bf16-storage", NO_FP16: "fp16-arithmetic"}


@pytest.fixture
def run(tmp_path):
    """`run(param, mode)`: all blobs."""

    def run_mode(param, mode="fp32"):
        (tmp_path / "p").write_text(param.text(), encoding="utf-8")
        (tmp_path / "b").write_bytes(write_weights(random_weights(PARAM.layers)))
        x = noise(8, 6, 7)
        with NcnnRunner(tmp_path / "p", tmp_path / "b", [TensorSpec("x", (1, 8, 6, 7))], [], mode=mode) as runner:
            return runner.infer_blobs({"x": x[None]}, BLOBS)

    return run_mode


def same(one, other):
    return all(np.array_equal(one[blob], other[blob]) for blob in one)


def subsets():
    return [set(names) for size in range(len(COMPUTING) + 1) for names in itertools.combinations(COMPUTING, size)]


@pytest.mark.parametrize("mask", [NO_BF16_STORAGE, NO_FP16, NO_FP16 | NO_BF16_STORAGE])
def test_fp32_stays_the_same_to_the_bit(run, mask):
    reference = run(PARAM)
    for names in subsets():
        assert same(run(with_masks(PARAM, names, mask)), reference)


@pytest.mark.parametrize("mask", [NO_BF16_STORAGE, NO_FP16])
def test_every_set_of_layers_runs_in_the_mode(run, mask):
    """Where ncnn read 16-bit numbers as float32, errors would be as large as the numbers, if it ran at all."""
    reference = run(PARAM)
    for names in subsets():
        found = run(with_masks(PARAM, names, mask), MODE_OF[mask])
        for blob in BLOBS:
            assert np.linalg.norm(found[blob] - reference[blob]) < 0.02 * np.linalg.norm(reference[blob])


@pytest.mark.parametrize("mask", [NO_BF16_STORAGE, NO_FP16])
def test_with_all_layers_masked_the_mode_is_fp32(run, mask):
    masked = with_masks(PARAM, COMPUTING, mask)
    assert same(run(masked, MODE_OF[mask]), run(PARAM))
    assert "DeepCopy" not in masked.text()


def test_bf16_acts_without_a_mask(run):
    """Otherwise the tests above prove nothing."""
    assert not same(run(PARAM, "bf16-storage"), run(PARAM))


def test_a_split_between_two_masked_layers_is_masked_and_others_are_not():
    masked = with_masks(PARAM, {"a", "b"}, NO_BF16_STORAGE)
    assert {layer.name for layer in masked.layers if mask_of(layer)} == {"a", "b", "s0", "s1"}
    assert {layer.name for layer in with_masks(PARAM, {"b", "d"}, 4).layers if layer.type == "DeepCopy"} == {
        "a_a_fp32",
        "c_fp32",
    }


def test_without_arithmetic_alone_nothing_is_converted():
    """Such a layer takes what is stored in fp16."""
    masked = with_masks(PARAM, {"b", "d"}, NO_FP16_ARITHMETIC)
    assert [layer.type for layer in masked.layers] == [layer.type for layer in PARAM.layers]
    assert {layer.name for layer in masked.layers if mask_of(layer)} == {"b", "d"}


def test_masks_add_up_and_converters_serve_both():
    once = with_masks(PARAM, {"d"}, NO_BF16_STORAGE)
    twice = with_masks(once, {"d"}, NO_FP16)
    assert [layer.name for layer in twice.layers] == [layer.name for layer in once.layers]
    assert [mask_of(layer) for layer in twice.layers if layer.name == "d"] == [NO_FP16 | NO_BF16_STORAGE]


def test_names_that_are_taken_are_left_alone():
    taken = Param.parse(TEXT.replace(" b ", " a_a_fp32 "))
    names = [layer.name for layer in with_masks(taken, {"a_a_fp32"}, NO_BF16_STORAGE).layers]
    assert "a_a_fp32#2" in names


@pytest.mark.parametrize("mask", [NO_FP16_STORAGE, NO_BF16_STORAGE])
def test_a_mask_behind_numbers_of_16_bits_is_refused(mask):
    layers = [layer.with_params({31: mask}) if layer.name == "b" else layer for layer in PARAM.layers]
    with pytest.raises(ConversionError, match="a_a as float32") as error:
        check_masks(Param(tuple(layers)))
    assert "layer b" in error.value.where


@pytest.mark.parametrize(("layer", "mask"), [("b", NO_FP16_ARITHMETIC), ("b", 64), ("a", 0)])
def test_other_masks_are_left_alone(layer, mask):
    layers = [replace(one, params={**one.params, 31: str(mask)}) if one.name == layer else one for one in PARAM.layers]
    check_masks(Param(tuple(layers)))


def test_why_it_is_refused(tmp_path):
    """ncnn itself: the masked layer reads past the end of what it is given, or something else than was written.

    In a process of its own, which it may end.
    """
    layers = tuple(layer.with_params({31: 4}) if layer.name == "c" else layer for layer in CHAIN.layers)
    script = tmp_path / "run.py"
    script.write_text(SCRIPT, encoding="utf-8")
    codes = []
    for name, param in (("right", CHAIN), ("wrong", Param(layers))):
        (tmp_path / name).write_text(param.text(), encoding="utf-8")
        (tmp_path / "b").write_bytes(write_weights(random_weights(param.layers)))
        command = [sys.executable, str(script), str(tmp_path / name), str(tmp_path / "b"), str(tmp_path / "right")]
        codes.append(subprocess.run(command, check=False, capture_output=True, timeout=60).returncode)
    assert codes[0] == 0
    assert codes[1] != 0


CHAIN = Param.parse("""7767517
4 4
Input in0 0 1 in0
Convolution a 1 1 in0 a 0=64 1=1 5=1 6=512
HardSwish b 1 1 a b 0=0.16666667 1=0.5
Convolution c 1 1 b out0 0=16 1=1 5=1 6=1024
""")
SCRIPT = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})
from pathlib import Path
import numpy as np
from dwca_export.artifacts import TensorSpec
from dwca_export.runners.ncnn import NcnnRunner
param, weights, right = map(Path, sys.argv[1:])
feeds = {{"x": np.random.default_rng(0).standard_normal((1, 8, 16, 16)).astype(np.float32)}}
spec = [TensorSpec("x", (1, 8, 16, 16))]
wanted = NcnnRunner(right, weights, spec, []).infer_blobs(feeds, ["out0"])["out0"]
found = NcnnRunner(param, weights, spec, [], mode="bf16-storage").infer_blobs(feeds, ["out0"])["out0"]
os._exit(not np.linalg.norm(found - wanted) < 0.05 * np.linalg.norm(wanted))
"""
