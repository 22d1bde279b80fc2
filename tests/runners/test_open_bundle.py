"""A bundle is opened only as what its manifest says it is."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dwca_export import InputRefusedError, open_bundle

if TYPE_CHECKING:
    from pathlib import Path

PARAM = """7767517
2 2
Input                    in0                      0 1 in0 0=4 1=3 2=2
Convolution              out                      1 1 in0 out0 0=1 1=1 5=0 6=2
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A 1x1 convolution of two channels to their sum."""
    files = {
        "model.ncnn.param": PARAM.encode(),
        "model.ncnn.bin": np.zeros(1, "<i4").tobytes() + np.ones(2, "<f4").tobytes(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    write_manifest(tmp_path, any_size=False)
    return tmp_path


def write_manifest(folder: Path, **changes: object) -> None:
    names = ("model.ncnn.param", "model.ncnn.bin")
    manifest = {
        "schema_version": 1,
        "any_size": False,
        "size_step": 0,
        "inputs": [{"name": "x", "shape": [1, 2, 3, 4], "dtype": "float32"}],
        "outputs": [{"name": "y", "shape": [1, 1, 3, 4], "dtype": "float32"}],
        "networks": {"fp32": {"param": names[0], "bin": names[1]}},
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
        **changes,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def feed(*shape: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).standard_normal(shape, np.float32)}


def test_runs_the_network(bundle: Path) -> None:
    sample = feed(1, 2, 3, 4)
    with open_bundle(bundle) as runner:
        output = runner.infer(sample)
    np.testing.assert_allclose(output["y"], sample["x"].sum(axis=1, keepdims=True), rtol=1e-6)


def test_a_bundle_for_one_size_refuses_others(bundle: Path) -> None:
    with open_bundle(bundle) as runner, pytest.raises(InputRefusedError, match=r"\[1, 2, 5, 4\]"):
        runner.infer(feed(1, 2, 5, 4))


def test_a_bundle_for_every_size_takes_others_but_not_other_channels(bundle: Path) -> None:
    write_manifest(bundle, any_size=True, size_step=1)
    with open_bundle(bundle) as runner:
        assert runner.infer(feed(1, 2, 5, 7))["y"].shape == (1, 1, 5, 7)
        with pytest.raises(InputRefusedError, match=r"\[1, 3, 5, 7\]"):
            runner.infer(feed(1, 3, 5, 7))


def test_a_bundle_for_steps_refuses_what_lies_between(bundle: Path) -> None:
    write_manifest(bundle, any_size=True, size_step=32)
    with open_bundle(bundle) as runner:
        assert runner.infer(feed(1, 2, 35, 68))["y"].shape == (1, 1, 35, 68)
        for height, width in ((5, 7), (35, 7), (5, 68), (32, 64)):
            with pytest.raises(InputRefusedError, match=r"steps of 32 from \[1, 2, 3, 4\] only"):
                runner.infer(feed(1, 2, height, width))


@pytest.mark.parametrize("name", ["model.ncnn.param", "model.ncnn.bin"])
def test_a_changed_byte_is_found(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[-2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(InputRefusedError, match="not the file that the manifest names") as caught:
        open_bundle(bundle)
    assert name in caught.value.where


def test_a_missing_file_is_found(bundle: Path) -> None:
    (bundle / "model.ncnn.bin").unlink()
    with pytest.raises(InputRefusedError, match="not the file"):
        open_bundle(bundle)


def test_a_newer_schema_is_refused(bundle: Path) -> None:
    write_manifest(bundle, schema_version=2)
    with pytest.raises(InputRefusedError, match="schema 2"):
        open_bundle(bundle)


@pytest.mark.parametrize("content", ["", "[]", "{}", "not JSON"])
def test_what_is_no_manifest_is_refused(bundle: Path, content: str) -> None:
    (bundle / "manifest.json").write_text(content)
    with pytest.raises(InputRefusedError, match="no readable manifest"):
        open_bundle(bundle)


def test_an_absent_precision_is_refused_with_those_there_are(bundle: Path) -> None:
    with pytest.raises(InputRefusedError, match="no fp16 weights") as caught:
        open_bundle(bundle, precision="fp16")
    assert "fp32" in caught.value.hint
