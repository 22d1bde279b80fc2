"""Changes bundles on purpose, with and without making their manifest agree."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from dwca_export.ncnn.param import Param
from dwca_export.ncnn.weights import read_weights, write_weights
from tools.mutations import renew_hashes


def read_json(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def edit_manifest(bundle, **changes):
    """Set keys of the manifest."""
    path = bundle / "manifest.json"
    path.write_text(json.dumps({**read_json(path), **changes}))


def edit_golden(bundle, change):
    """Change the recorded tensors, in place; the manifest agrees."""
    with np.load(bundle / "golden.npz") as golden:
        arrays = dict(golden)
    change(arrays)
    np.savez_compressed(bundle / "golden.npz", **arrays)
    renew_hashes(bundle, "golden.npz")


def edit_param(bundle, old, new):
    """Replace text of the param; the manifest agrees."""
    path = bundle / "model.ncnn.param"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    renew_hashes(bundle, path.name)


def edit_weights(bundle, layer, change, name="weight"):
    """Change one tensor of the fp32 bin in place; the manifest agrees."""
    path = bundle / "model.ncnn.bin"
    param = Param.parse((bundle / "model.ncnn.param").read_text(encoding="utf-8"))
    weights = list(read_weights(param, path.read_bytes()))
    at = next(index for index, one in enumerate(weights) if (one.layer, one.name) == (layer, name))
    data = weights[at].data.copy()
    change(data)
    weights[at] = replace(weights[at], data=data)
    path.write_bytes(write_weights(weights))
    renew_hashes(bundle, path.name)
