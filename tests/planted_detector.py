"""A small detector with planted weights, and its bundle: its scores spread widely, so that it finds boxes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dwca_export.detect.spec import DetectorSpec
from dwca_export.pipeline import export
from dwca_export.request import ExportRequest
from models import nets

SIDE = 32
LABELS = ("knife", "baton", "pen")
SPEC = DetectorSpec(
    (4, 8, 16),
    (((9.0, 4.0), (4.0, 9.0)), ((14.0, 7.0), (7.0, 14.0)), ((22.0, 12.0), (12.0, 22.0))),
    score_threshold=0.3,
    iou_threshold=0.5,
    image_size=SIDE,
)
ARGUMENTS = {"num_classes": len(LABELS), "width": 0.25, "anchors": 2, "stem_stride": 1}
ARCH = f"{Path(nets.__file__)}:detector"
MEAN, STD = 0.5, 0.25


def network():
    """Random weights, scaled: logits of -3 and regressions of 0 on average, with deviations of 2 and of 0.3."""
    torch.manual_seed(0)
    planted = nets.detector(**ARGUMENTS)
    batch = torch.from_numpy((images(32, seed=1).transpose(0, 3, 1, 2) / 255 - MEAN) / STD).float()
    for layer in planted.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the mean of all batches, of which there is one
    with torch.no_grad():
        maps = planted.train()(batch)
        for head, logits, boxes in zip(planted.heads, maps[::2], maps[1::2], strict=True):
            for layer, values, mean, deviation in ((head.logits, logits, -3, 2), (head.boxes, boxes, 0, 0.3)):
                layer.weight *= deviation / values.std()
                layer.bias += mean - values.mean() * deviation / values.std()
    return planted.eval()


def images(count=3, height=SIDE, width=SIDE, seed=0):
    """Blots of colour: uint8 `(count, height, width, 3)`."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, height // 4, width // 4, 3), np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def write_checkpoint(folder, *, card=None, **extras):
    """Write checkpoint and card; see `models.checkpoint`.

    Args:
        folder: Where to.
        card: Keys of the card to be changed; those that are None are left out.
        extras: What the checkpoint carries beside the network.
    """
    checkpoint = folder / "planted.pt"
    shape = [1, 3, SIDE, SIDE]
    torch.save({"state_dict": network().state_dict(), "arch_args": ARGUMENTS, "shape": shape, **extras}, checkpoint)
    document = {
        "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "input": {"shape": shape, "range": [0, 1], "mean": [MEAN] * 3, "std": [STD] * 3},
        "labels": list(LABELS),
        "detection": SPEC.document(),
        **(card or {}),
    }
    document = {key: value for key, value in document.items() if value is not None}
    checkpoint.with_suffix(".card.json").write_text(json.dumps(document))
    return checkpoint


def request(checkpoint, **more):
    np.save(checkpoint.with_name("samples.npy"), images(2, seed=9))
    return ExportRequest(model=checkpoint, arch=ARCH, images=checkpoint.with_name("samples.npy"), **more)


@pytest.fixture(scope="session")
def detector_bundle(tmp_path_factory):
    """The bundle with both weight files, made once for all folders of tests; not to be changed."""
    folder = tmp_path_factory.getbasetemp() / "planted"
    bundle = folder / "planted_ncnn_model"
    if bundle.is_dir():
        return bundle
    folder.mkdir(exist_ok=True)
    return export(request(write_checkpoint(folder), precisions=("fp32", "fp16"))).bundle
