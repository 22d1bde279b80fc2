"""Opens the network of a bundle, held to what its manifest says. Needs numpy and ncnn only."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from dwca_export.artifacts import tensor_specs
from dwca_export.bundle import COPY_AGAIN, MANIFEST, SCHEMA_VERSION
from dwca_export.errors import InputRefusedError
from dwca_export.runners.ncnn import NcnnRunner

if TYPE_CHECKING:
    from pathlib import Path


def open_bundle(folder: Path, *, precision: str = "fp32", mode: str = "fp32", threads: int = 1) -> NcnnRunner:
    """Open the network of a bundle.

    Args:
        folder: The bundle.
        precision: Which weight file to use: `fp32` or `fp16`, if the bundle has it.
        mode: Precision of ncnn's arithmetic; see `NcnnRunner`.
        threads: Threads that ncnn may use.

    Returns:
        A runner that takes the shapes of the manifest only, or any height and width that the bundle was made for.

    Raises:
        InputRefusedError: No bundle, one of a newer schema, one without that precision, or a file that was changed.
        ConversionError: ncnn does not load the network.
    """
    manifest = read_manifest(folder)
    networks = manifest["networks"]
    if precision not in networks:
        raise InputRefusedError(
            f"the bundle has no {precision} weights", where=str(folder), hint=f"it has {', '.join(networks)}"
        )
    files = [networks[precision][kind] for kind in ("param", "bin")]
    for name in files:
        _check_hash(folder / name, manifest["files"].get(name, ""))
    inputs, outputs = (tensor_specs(manifest[key]) for key in ("inputs", "outputs"))
    param, weights = (folder / name for name in files)
    sizes = {"any_size": manifest["any_size"], "size_step": manifest["size_step"] or 1}
    return NcnnRunner(param, weights, inputs, outputs, mode=mode, threads=threads, **sizes)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle.

    Raises:
        InputRefusedError: No bundle, or one of another schema.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        schema = manifest["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputRefusedError(
            f"no readable manifest: {error}", where=str(path), hint="give the folder that dwca-export wrote"
        ) from error
    if schema != SCHEMA_VERSION:
        raise InputRefusedError(
            f"the manifest has schema {schema}, this version reads {SCHEMA_VERSION}",
            where=str(path),
            hint="install the version of dwca-export that wrote it",
        )
    return manifest


def _check_hash(path: Path, expected: str) -> None:
    actual = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
    if actual != expected:
        raise InputRefusedError("is not the file that the manifest names", where=str(path), hint=COPY_AGAIN)
