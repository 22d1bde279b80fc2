from __future__ import annotations

import copy

import pytest

_OUTPUT = {
    "output": "scores",
    "shape": [1, 4],
    "samples": 4,
    "max_abs": 3.04e-8,
    "relative_max": 1e-7,
    "relative_l2": 8.8e-8,
    "channel": "",
    "channel_l2": None,
    "cosine": 1.0,
    "sqnr_db": 141.9,
    "top1": 1.0,
}
_BLOCK = {
    "name": "trunk.0",
    "channels": 16,
    "reduced": 8,
    "reduction": 2,
    "norm": "GroupNorm",
    "groups": 4,
    "depthwise_kernel": 5,
    "stride": 2,
    "residual": True,
}
_MANIFEST = {
    "name": "net",
    "source": {"file": "net.pt", "kind": "state_dict", "sha256": "0" * 64},
    "any_size": False,
    "inputs": [{"name": "image", "shape": [1, 3, 24, 16]}],
    "outputs": [{"name": "scores", "shape": [1, 4]}],
    "blocks": [_BLOCK],
    "samples": {"kind": "images", "origin": "9 images of samples/", "count": 4},
    "proven": [
        {"shapes": [[1, 3, 24, 16]], "samples": {"kind": "images", "origin": "9 images of samples/", "count": 4}},
    ],
    "parity": [
        {"reference": "torch", "candidate": "ONNX", "tolerance": "fp32", "passed": True, "outputs": [_OUTPUT]},
        {
            "reference": "ONNX",
            "candidate": "ncnn fp32",
            "tolerance": "fp32",
            "passed": True,
            "outputs": [{**_OUTPUT, "max_abs": 0.0, "relative_l2": 0.0, "sqnr_db": None}],
        },
    ],
    "contrasts": [
        {
            "reference": "torch",
            "output": "scores",
            "relative_l2": 0.31,
            "channel_l2": None,
            "tolerance": "fp32",
            "factor": 3100.0,
            "verdict": "strong",
        }
    ],
    "changes": ["mean pooling"],
    "notes": ["a note"],
    "tools": {"torch": "2.13.0", "ncnn": "1.0"},
}


@pytest.fixture
def manifest():
    """What a `manifest.json` says, as far as reports show it."""
    return copy.deepcopy(_MANIFEST)
