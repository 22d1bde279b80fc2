"""Bundles of hand-made ncnn networks: what `dwca-parity` reads of a bundle, recorded from ncnn itself in fp32."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from dwca_export.artifacts import TensorSpec
from dwca_export.bundle import GOLDEN, MANIFEST, PARAM, SCHEMA_VERSION, hash_files, write_json
from dwca_export.ncnn.weights import write_weights
from dwca_export.runners.ncnn import NcnnRunner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dwca_export.artifacts import NcnnModel

BIN = "model.ncnn.bin"


def write_bundle(folder: Path, network: NcnnModel, samples: Sequence[np.ndarray]) -> Path:
    """Write a network of one input and one output with what it computes.

    Args:
        folder: Where to.
        network: The network; blobs are called after its taps.
        samples: Its inputs, without batch axis.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PARAM).write_text(network.param.text(), encoding="utf-8")
    (folder / BIN).write_bytes(write_weights(network.weights))
    blobs = [
        blob
        for layer in network.param.layers
        if layer.type not in ("Input", "Split", "DeepCopy")
        for blob in layer.tops
    ]
    spec = TensorSpec("x", (1, *samples[0].shape))
    with NcnnRunner(folder / PARAM, folder / BIN, [spec], [TensorSpec("y", ())]) as runner:
        values = [runner.infer_blobs({"x": sample[None]}, blobs) for sample in samples]
    arrays = {f"input/{index}/x": sample[None] for index, sample in enumerate(samples)}
    arrays.update({f"output/{index}/y": value["out0"][None] for index, value in enumerate(values)})
    arrays.update({f"blob/{name}": array for name, array in values[0].items()})
    np.savez(folder / GOLDEN, **arrays)
    write_manifest(folder, list(spec.shape), list(values[0]["out0"][None].shape), len(samples))
    return folder


def write_manifest(folder: Path, input_shape: list[int], output_shape: list[int], count: int) -> None:
    document = {
        "schema_version": SCHEMA_VERSION,
        "name": "hand-made",
        "tools": {"dwca-export": "0", "ncnn": "0"},
        "any_size": False,
        "size_step": 0,
        "inputs": [{"name": "x", "blob": "in0", "shape": input_shape, "dtype": "float32"}],
        "outputs": [{"name": "y", "blob": "out0", "shape": output_shape, "dtype": "float32"}],
        "labels": [],
        "networks": {"fp32": {"param": PARAM, "bin": BIN}},
        "samples": {"kind": "noise", "origin": "seeded noise", "count": count},
        "parity": [],
        "changes": [],
        "taps": [],
        "notes": [],
        "files": hash_files(folder),
    }
    write_json(folder / MANIFEST, document)


def change_weights(folder: Path, network: NcnnModel) -> None:
    """Put other weights, and another graph, into a bundle; what it recorded stays."""
    (folder / PARAM).write_text(network.param.text(), encoding="utf-8")
    (folder / BIN).write_bytes(write_weights(network.weights))
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"] = hash_files(folder)
    write_json(folder / MANIFEST, manifest)
