"""The trained classifier of this repository, exported as its README says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from commands import run_child

from dwca_export import open_bundle

ROOT = Path(__file__).parents[2]
ZOO = ROOT / "models" / "zoo"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    arguments = ["--arch", ROOT / "models" / "nets.py:classifier", "--images", ZOO / "fashion_samples.npz"]
    ran = run_child(ZOO / "fashion_dwca.pt", *arguments, "--precision", "fp32,fp16", "--samples", 8, "--out", out)
    assert ran.code == 0, ran.err
    return out / "fashion_dwca_ncnn_model"


@pytest.fixture(scope="module")
def card():
    return json.loads((ZOO / "fashion_dwca.card.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_it_is_as_often_right_as_its_card_says(bundle, card, precision):
    with np.load(ZOO / "fashion_samples.npz") as samples:
        images, labels = samples["images"], samples["labels"]
    mean, std = card["input"]["mean"][0], card["input"]["std"][0]
    inputs = ((images[:, np.newaxis] / 255 - mean) / std).astype(np.float32)
    with open_bundle(bundle, precision=precision) as runner:
        scores = [runner.infer({"x": one[np.newaxis]})["output"] for one in inputs]
    correct = int((np.concatenate(scores).argmax(1) == labels).sum())
    if precision == "fp32":
        assert correct == card["metrics"]["samples_correct"]
    else:
        assert abs(correct - card["metrics"]["samples_correct"]) <= 1


def test_it_knows_its_labels_shape_and_data(bundle, card):
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["labels"] == card["labels"]
    assert manifest["inputs"][0]["shape"] == card["input"]["shape"]
    assert manifest["inputs"][0]["preprocessing"]["mean"] == card["input"]["mean"]
    assert manifest["samples"] == {"kind": "images", "origin": "128 images of fashion_samples.npz", "count": 8}
    assert manifest["source"]["sha256"] == card["sha256"]
    assert len(manifest["blocks"]) == 11
    metadata = yaml.safe_load((bundle / "metadata.yaml").read_text(encoding="utf-8"))
    assert list(metadata["names"].values()) == card["labels"]
    assert metadata["channels"] == 1


def test_no_pooling_of_ncnns_slow_kind_is_left(bundle):
    """Adaptive pooling drops ncnn's packing: a fixed size has none but the last, global one."""
    lines = (bundle / "model.ncnn.param").read_text(encoding="utf-8").splitlines()[2:]
    pooling = [line.split() for line in lines if line.startswith("Pooling")]
    assert pooling
    assert not any("7=1" in line for line in pooling)
