"""The installed command on a file of every kind, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import ncnn
import numpy as np
import pytest
import tiny_net
import torch
from commands import ARCH, SHAPE, child_environment, run_child

KINDS = {
    "state.pt": ("state_dict", ["--arch", ARCH, "--shape", SHAPE]),
    "module.pt": ("module", ["--trust", "tiny_net", "--trust", "dwca_export", "--trust", "torch.nn", "--shape", SHAPE]),
    "script.pt": ("torchscript", ["--shape", SHAPE]),
    "program.pt2": ("exported_program", []),
    "graph.onnx": ("onnx", []),
}


@pytest.fixture(scope="module")
def exported(models, tmp_path_factory):
    """`exported(name)`: the finished command and the bundle it made."""

    @cache
    def run(name):
        out = tmp_path_factory.mktemp("out")
        (out / "tmp").mkdir()
        ran = run_child(models / name, *KINDS[name][1], "--out", out, cwd=out, TMPDIR=out / "tmp")
        return ran, out / f"{name.partition('.')[0]}_ncnn_model"

    return run


def infer(bundle, array):
    """Run a bundle with ncnn alone."""
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    assert net.load_param(str(bundle / "model.ncnn.param")) == 0
    assert net.load_model(str(bundle / "model.ncnn.bin")) == 0
    extractor = net.create_extractor()
    assert extractor.input("in0", ncnn.Mat(np.ascontiguousarray(array[0])).clone()) == 0
    status, mat = extractor.extract("out0")
    assert status == 0
    return np.array(mat)[np.newaxis]


@pytest.mark.parametrize("name", KINDS)
def test_the_command_makes_a_bundle_that_is_right(exported, tiny, name):
    ran, bundle = exported(name)
    assert ran.code == 0, ran.err
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"]["kind"] == KINDS[name][0]
    array = np.random.default_rng(11).standard_normal(tiny_net.SHAPE, np.float32)
    with torch.inference_mode():
        expected = tiny(torch.from_numpy(array)).numpy()
    np.testing.assert_allclose(infer(bundle, array), expected, rtol=1e-4, atol=1e-6)
    with np.load(bundle / "golden.npz") as golden:
        sample, recorded = (golden[next(key for key in golden.files if key.startswith(kind))] for kind in ("in", "out"))
    np.testing.assert_allclose(infer(bundle, sample), recorded, rtol=1e-4, atol=1e-6)
    command = [sys.executable, bundle / "infer.py"]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", KINDS)
def test_what_a_user_sees(exported, name):
    ran, bundle = exported(name)
    out, hops = ran.out.splitlines(), [line.split()[0] for line in ran.err.splitlines()]
    assert out[0] == "Blocks with coordinate attention: 1"
    assert out[-1] == f"bundle: {bundle}"
    # Every line is a hop's: no library says anything.
    assert [hop for hop in hops if hop != "to_onnx"] == [
        "load",
        "prepare",
        "simplify",
        "to_ncnn",
        "optimise",
        "parity",
        "bundle",
    ]
    assert ("to_onnx" in hops) == (name != "graph.onnx")
    assert all(len(line) <= 160 for line in (*out, *ran.err.splitlines()))


def test_nothing_is_left_but_the_bundle(exported):
    for name in KINDS:
        _, bundle = exported(name)
        temporary = bundle.parent / "tmp"
        assert sorted(bundle.parent.iterdir()) == sorted([bundle, temporary])
        assert list(temporary.iterdir()) == []
