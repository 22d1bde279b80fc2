"""The bundle: a folder that holds the network for the device, and the proof that it is right.

The same inputs give the same bytes: no times, no host names, no folders.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.request import PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

SCHEMA_VERSION = 1
SUFFIX = "_ncnn_model"
PARAM = "model.ncnn.param"
MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
LAYERS = "layers.json"
# What to do about a bundle that is not as it was written.
COPY_AGAIN = "copy the bundle again, or export again"

# YAML 1.1, 5.1 and 5.4: what is not printable, and what ends a line.
_UNPRINTABLE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def bin_names(precisions: Collection[str]) -> dict[str, str]:
    """The weight file of each precision, most exact first: that one has the name that other tools expect."""
    ordered = [precision for precision in PRECISIONS if precision in precisions]
    return {name: "model.ncnn.bin" if name == ordered[0] else f"model.ncnn.{name}.bin" for name in ordered}


def bundle_folder(model: Path, out: Path | None) -> Path:
    """Where the bundle of a model file goes.

    Args:
        model: The model file.
        out: The folder for the bundle, or the bundle itself if its name ends with `_ncnn_model`; by default the folder
            of the model file.
    """
    if out is not None and out.name.endswith(SUFFIX):
        return out.absolute()
    return (out or model.parent).absolute() / f"{model.stem}{SUFFIX}"


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document, readable and always the same."""
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_golden(
    path: Path,
    samples: Sequence[Mapping[str, np.ndarray]],
    outputs: Sequence[Mapping[str, np.ndarray]],
    taps: Mapping[str, np.ndarray],
    blobs: Mapping[str, np.ndarray],
) -> None:
    """Record tensors.

    Args:
        path: The `.npz` to write.
        samples: Inputs, recorded as `input/<sample>/<name>`.
        outputs: What the original network makes of them: `output/<sample>/<name>`.
        taps: Of the first sample, values of the original network: `tap/<name>`.
        blobs: Of the first sample, what ncnn computes in all other blobs: `blob/<name>`.
    """
    arrays: dict[str, Any] = {}
    for key, tensors in (("input", samples), ("output", outputs)):
        arrays.update(
            {f"{key}/{index}/{name}": array for index, one in enumerate(tensors) for name, array in one.items()}
        )
    arrays.update({f"tap/{name}": array for name, array in taps.items()})
    arrays.update({f"blob/{name}": array for name, array in blobs.items()})
    np.savez_compressed(path, **arrays)


def write_metadata(path: Path, metadata: Mapping[str, Any]) -> None:
    """Write the YAML that Ultralytics' loader reads."""
    lines = []
    for key, value in metadata.items():
        if isinstance(value, dict) and value:
            lines += [f"{key}:", *(f"  {entry}: {_scalar(text)}" for entry, text in value.items())]
        else:
            lines.append(f"{key}: {_scalar(value)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _scalar(value: object) -> str:
    """A value as JSON, which YAML contains but for the characters that YAML wants escaped."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in the folder, by name, sorted; the manifest itself is left out."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }
