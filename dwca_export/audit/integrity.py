"""Whether a folder is a whole bundle: a manifest of the right form, and every file with the hash that it names."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from dwca_export.bundle import COPY_AGAIN, GOLDEN, MANIFEST
from dwca_export.errors import InputRefusedError
from dwca_export.report.visible import visible
from dwca_export.runners.bundle import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_TENSOR = {"name": str, "blob": str, "shape": [int], "dtype": str}
# What is read here of a manifest; `"*"` stands for every key.
_FORM: dict[str, Any] = {
    "name": str,
    "tools": {"*": str},
    "any_size": bool,
    "size_step": int,
    "inputs": [_TENSOR],
    "outputs": [_TENSOR],
    "labels": [str],
    "networks": {"*": {"param": str, "bin": str}},
    "samples": {"count": int, "kind": str, "origin": str},
    "parity": [{"reference": str, "candidate": str, "outputs": [{"output": str}]}],
    "taps": [{"name": str, "blob": str, "stacked_groups": int}],
    "notes": [str],
    "files": {"*": str},
}
_CHUNK = 1 << 20
_NAMED = 8


def open_whole_bundle(folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read the manifest of a bundle, and hold every file to it.

    Args:
        folder: The bundle.

    Returns:
        The manifest, and what the user should know of files that it does not name.

    Raises:
        InputRefusedError: No bundle, a manifest that cannot be used, or files that are missing or were changed.
    """
    if not folder.is_dir():
        what = "this is a file, a bundle is a folder" if folder.exists() else "there is no such folder"
        raise InputRefusedError(what, where=str(folder), hint="give the folder that dwca-export wrote")
    manifest = read_manifest(folder)
    fault = _misfit(manifest, _FORM) or _uncovered(manifest)
    if fault:
        raise InputRefusedError(f"the manifest cannot be used: {fault}", where=str(folder / MANIFEST), hint=COPY_AGAIN)
    _check_files(folder, manifest["files"])
    unknown = sorted({path.name for path in folder.iterdir()} - {MANIFEST, *manifest["files"]})
    return manifest, (f"not of the bundle, and not checked: {_list(unknown)}",) if unknown else ()


def _misfit(value: object, form: object, path: str = "") -> str:
    """Where a value first departs from its form; empty if it does not."""
    if isinstance(form, type):
        fits = isinstance(value, form) and (form is bool or not isinstance(value, bool))
        return "" if fits else f"{path} is not of type {form.__name__}"
    if isinstance(form, list):
        if not isinstance(value, list):
            return f"{path} is no array"
        return _first(_misfit(one, form[0], f"{path}[{index}]") for index, one in enumerate(value))
    if not isinstance(value, dict):
        return f"{path or 'it'} is no object"
    assert isinstance(form, dict)  # noqa: S101  forms are of these three kinds
    parts = dict.fromkeys(value, form["*"]) if "*" in form else form
    return _first(
        _misfit(value[key], part, f"{path}.{key}".lstrip("."))
        if key in value
        else f"{path}.{key}".lstrip(".") + " is missing"
        for key, part in parts.items()
    )


def _first(faults: Iterable[str]) -> str:
    return next(filter(None, faults), "")


def _uncovered(manifest: Mapping[str, Any]) -> str:
    """Files that are used need a hash, hashes are of files in the folder, and there has to be something to run."""
    if not (manifest["networks"] and manifest["inputs"] and manifest["outputs"] and manifest["samples"]["count"] > 0):
        return "it names no network, input, output or sample"
    used = [GOLDEN, *(file for network in manifest["networks"].values() for file in network.values())]
    bare = [name for name in used if name not in manifest["files"]]
    if bare:
        return f"files has no hash of {bare[0]}"
    outside = [name for name in manifest["files"] if "/" in name or "\\" in name or name in ("", ".", "..")]
    return f"files names {outside[0]!r}, which is no name of a file" if outside else ""


def _check_files(folder: Path, hashes: Mapping[str, str]) -> None:
    faults = {name: fault for name, expected in hashes.items() if (fault := _file_fault(folder / name, expected))}
    if faults:
        what = ", ".join(f"{name} {fault}" for name, fault in list(faults.items())[:_NAMED])
        more = f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        raise InputRefusedError(f"not as the manifest says: {what}{more}", where=str(folder), hint=COPY_AGAIN)


def _file_fault(path: Path, expected: str) -> str:
    if not path.is_file():
        return "is missing"
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "" if digest.hexdigest() == expected else "was changed"


def _list(names: list[str]) -> str:
    shown = ", ".join(map(visible, names[:_NAMED]))
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown
