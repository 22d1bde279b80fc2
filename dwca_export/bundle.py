"""The bundle: a folder that holds the network for the device, and the proof that it is right.

It is written beside its final place and renamed when complete, so that a failed or interrupted export leaves nothing
behind and never harms an older bundle. The same inputs give the same bytes: no times, no host names.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SCHEMA_VERSION = 1
SUFFIX = "_ncnn_model"
PARAM = "model.ncnn.param"
MANIFEST = "manifest.json"
GOLDEN = "golden.npz"


def bin_name(precision: str) -> str:
    """Name of the weight file of a precision; fp32 has the name that other tools expect."""
    return "model.ncnn.bin" if precision == "fp32" else f"model.ncnn.{precision}.bin"


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


@contextlib.contextmanager
def staged(target: Path, *, force: bool) -> Iterator[Path]:
    """A folder that becomes `target` if the `with` block succeeds, and vanishes if it does not.

    Args:
        target: The bundle.
        force: Whether an older bundle may be replaced.

    Raises:
        UsageError: There is an older bundle and no `force`, something else is in the way, or nothing can be written.
    """
    _check_target(target, force=force)
    made = _make_parents(target.parent)
    staging = None
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        # mkdtemp makes it private; the bundle is as readable as the user's other folders.
        staging.chmod(0o777 & ~_umask())
        yield staging
        _publish(staging, target)
    except PermissionError as error:
        raise UsageError(
            f"cannot write there: {error}", where=str(target.parent), hint="choose another --out"
        ) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        for folder in made:
            with contextlib.suppress(OSError):  # not empty: the bundle is in it
                folder.rmdir()


def _check_target(target: Path, *, force: bool) -> None:
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        raise UsageError("exists already", where=str(target), hint="--force replaces it")
    if target.is_symlink() or not target.is_dir() or (any(target.iterdir()) and not (target / MANIFEST).is_file()):
        raise UsageError(
            "is not a bundle, and is not replaced", where=str(target), hint="move it away, or choose another --out"
        )


def _make_parents(folder: Path) -> list[Path]:
    """Make the missing folders; return them, innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot make the folder: {error.strerror}", where=str(folder), hint="choose another --out"
        ) from error
    return missing


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _publish(staging: Path, target: Path) -> None:
    """Put the new bundle in place of the old one, which comes back if that fails."""
    if not target.exists():
        staging.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        target.rename(old / target.name)
        try:
            staging.rename(target)
        except BaseException:
            (old / target.name).rename(target)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document, readable and always the same."""
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_golden(
    path: Path,
    samples: Sequence[Mapping[str, np.ndarray]],
    outputs: Sequence[Mapping[str, np.ndarray]],
    taps: Mapping[str, np.ndarray],
) -> None:
    """Record tensors as `input/<sample>/<name>`, `output/<sample>/<name>` and, for the first sample, `tap/<name>`."""
    arrays: dict[str, Any] = {}
    for key, tensors in (("input", samples), ("output", outputs)):
        arrays.update(
            {f"{key}/{index}/{name}": array for index, one in enumerate(tensors) for name, array in one.items()}
        )
    arrays.update({f"tap/{name}": array for name, array in taps.items()})
    np.savez_compressed(path, **arrays)


def write_metadata(path: Path, metadata: Mapping[str, Any]) -> None:
    """Write the YAML that Ultralytics' loader reads; every value as JSON, which YAML contains."""
    lines = []
    for key, value in metadata.items():
        if isinstance(value, dict):
            lines += [
                f"{key}:",
                *(f"  {entry}: {json.dumps(name, ensure_ascii=False)}" for entry, name in value.items()),
            ]
        else:
            lines.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in the folder, by name, sorted; the manifest itself is left out."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }
