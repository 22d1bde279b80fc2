"""What a bundle recorded of its network while it was made."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.bundle import COPY_AGAIN, GOLDEN, PARAM
from dwca_export.errors import InputRefusedError
from dwca_export.ncnn.param import Param

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Recorded:
    """The recorded tensors of a bundle.

    Attributes:
        samples: Inputs by name, with batch axis.
        outputs: The original network's outputs for each sample, by name, with batch axis.
        blobs: What every ncnn blob should hold for the first sample, without batch axis, as ncnn shapes it.
        modules: The torch module (or operation) of each blob that was compared with the original network's value; the
            others hold what ncnn computed in fp32 when the comparison passed.
    """

    samples: tuple[Mapping[str, np.ndarray], ...]
    outputs: tuple[Mapping[str, np.ndarray], ...]
    blobs: Mapping[str, np.ndarray] = field(repr=False)
    modules: Mapping[str, str]


def load_recorded(folder: Path, manifest: Mapping[str, Any]) -> Recorded:
    """Read the recorded tensors.

    Args:
        folder: The bundle.
        manifest: Its manifest.

    Raises:
        InputRefusedError: The file cannot be read, or does not hold what the manifest promises.
    """
    path = folder / GOLDEN
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputRefusedError(f"no readable golden tensors: {error}", where=str(path), hint=COPY_AGAIN) from error
    count = manifest["samples"]["count"]
    samples = [_named(arrays, f"input/{index}", manifest["inputs"], path) for index in range(count)]
    outputs = [_named(arrays, f"output/{index}", manifest["outputs"], path) for index in range(count)]
    blobs = {key.removeprefix("blob/"): array for key, array in arrays.items() if key.startswith("blob/")}
    for tap in manifest["taps"]:
        blobs[tap["blob"]] = in_blob_layout(_required(arrays, f"tap/{tap['name']}", path), tap["stacked_groups"])
    blobs.update({entry["blob"]: samples[0][entry["name"]][0] for entry in manifest["inputs"]})
    blobs.update({entry["blob"]: outputs[0][entry["name"]][0] for entry in manifest["outputs"]})
    modules = {tap["blob"]: tap["name"] for tap in reversed(manifest["taps"])}
    return Recorded(tuple(samples), tuple(outputs), blobs, modules)


def load_param(folder: Path) -> Param:
    """Read the bundle's graph.

    Raises:
        ConversionError: It is no param.
    """
    return Param.parse((folder / PARAM).read_text(encoding="utf-8"))


def in_blob_layout(value: np.ndarray, stacked_groups: int) -> np.ndarray:
    """Bring a value of the original network into the layout of its blob.

    Args:
        value: `(m, 2S, 1)` where the strips are stacked, else anything; without batch axis.
        stacked_groups: See `dwca_export.ncnn.graph.Tap`.

    Returns:
        `(2m, S, 1)` where the strips are stacked, else the value itself.
    """
    if not stacked_groups:
        return value
    channels, length, one = value.shape
    grouped = value.reshape(stacked_groups, channels // stacked_groups, 2, length // 2, one)
    return np.ascontiguousarray(grouped.swapaxes(1, 2).reshape(2 * channels, length // 2, one))


def _required(arrays: Mapping[str, np.ndarray], key: str, path: Path) -> np.ndarray:
    if key not in arrays:
        raise InputRefusedError(
            f"the golden tensors lack {key!r}, which the manifest names", where=str(path), hint=COPY_AGAIN
        )
    return arrays[key]


def _named(
    arrays: Mapping[str, np.ndarray], prefix: str, specs: Sequence[Mapping[str, Any]], path: Path
) -> dict[str, np.ndarray]:
    found = {spec["name"]: _required(arrays, f"{prefix}/{spec['name']}", path) for spec in specs}
    for spec in specs:
        shape = list(found[spec["name"]].shape)
        if shape != spec["shape"]:
            message = f"the golden tensor {prefix}/{spec['name']} has shape {shape}, the manifest says {spec['shape']}"
            raise InputRefusedError(message, where=str(path), hint="they are of another model: export again")
    return found
