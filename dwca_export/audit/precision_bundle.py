"""Writes a bundle whose param carries a precision mask, and proves it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.audit.forked import in_child
from dwca_export.audit.recorded import load_param, load_recorded
from dwca_export.audit.verdict import audit
from dwca_export.bundle import MANIFEST, PARAM, SUFFIX, hash_files, write_json
from dwca_export.errors import InputRefusedError, ParityError
from dwca_export.ncnn.masks import with_masks
from dwca_export.parity.tolerances import TOLERANCES
from dwca_export.runners.bundle import open_bundle, read_manifest
from dwca_export.staging import staged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dwca_export.audit.precision import PrecisionFix
    from dwca_export.parity.tolerances import Tolerance


def fixed_folder(folder: Path, mode: str, out: Path | None) -> Path:
    """Where the new bundle goes: beside the old one with the mode in its name, unless the user says where."""
    stem = folder.absolute().name.removesuffix(SUFFIX)
    name = f"{stem}_{mode}{SUFFIX}"
    if out is None:
        return folder.absolute().parent / name
    return (out if out.name.endswith(SUFFIX) else out / name).absolute()


def write_fixed(
    folder: Path,
    fix: PrecisionFix,
    target: Path,
    *,
    force: bool = False,
    tolerances: Mapping[str, Tolerance] = TOLERANCES,
    threads: int = 1,
) -> dict[str, Any]:
    """Write the bundle with the masks; the old one stays as it is.

    Args:
        folder: The old bundle.
        fix: What to mask.
        target: The new one.
        force: Whether a bundle that is there already may be replaced.
        tolerances: How far the mode may be off.
        threads: Threads that ncnn may use.

    Returns:
        The manifest of the new bundle.

    Raises:
        UsageError: The new bundle cannot be written there.
        InputRefusedError: The old bundle is none.
        ParityError: The new one does not pass, or differs in fp32; nothing is written.
    """
    manifest = read_manifest(folder)
    if target.resolve() == folder.resolve():
        raise InputRefusedError("is the bundle itself", where=str(target), hint="choose another --out")
    with staged(target, force=force) as staging:
        for name in manifest["files"]:
            shutil.copyfile(folder / name, staging / name)
        old = load_param(folder)
        new = with_masks(old, fix.layers, fix.mask)
        (staging / PARAM).write_text(new.text(), encoding="utf-8")
        manifest["precision_masks"] = [*manifest.get("precision_masks", ()), _entry(fix)]
        manifest["changes"] = [*manifest["changes"], f"precision mask for {fix.mode}"]
        manifest["files"] = hash_files(staging)
        write_json(staging / MANIFEST, manifest)
        in_child(lambda: _prove(folder, staging, fix.mode, tolerances, threads), str(target))
    return manifest


def _entry(fix: PrecisionFix) -> dict[str, Any]:
    layers = [{"layer": layer, "module": module} for layer, module in zip(fix.layers, fix.modules, strict=True)]
    return {"mode": fix.mode, "mask": fix.mask, "layers": layers, "converters": fix.converters}


def _prove(old: Path, new: Path, mode: str, tolerances: Mapping[str, Tolerance], threads: int) -> None:
    _require_same_in_fp32(old, new, threads)
    for result in audit(new, modes=("fp32", mode), tolerances=tolerances, threads=threads):
        if result.status == "failed":
            raise ParityError(f"{result.mode} fails with the masks", where=str(new))


def _require_same_in_fp32(old: Path, new: Path, threads: int) -> None:
    """Hold every blob of every recorded sample to that of the old network, to the bit."""
    manifest = read_manifest(old)
    blobs, samples = load_param(old).computed, load_recorded(old, manifest).samples
    for precision in manifest["networks"]:
        with (
            open_bundle(old, precision=precision, threads=threads) as first,
            open_bundle(new, precision=precision, threads=threads) as second,
        ):
            for sample in samples:
                wanted, found = first.infer_blobs(sample, blobs), second.infer_blobs(sample, blobs)
                different = [blob for blob in blobs if not np.array_equal(wanted[blob], found[blob], equal_nan=True)]
                if different:
                    raise ParityError(f"with the masks {different[0]} differs in fp32", where=str(new))
