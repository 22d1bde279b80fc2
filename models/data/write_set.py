"""Writes a built set: all files at once, the same bytes for the same arrays, an older set kept until then."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.errors import UsageError
from models.data import thin_objects
from models.data.thin_objects import CLASSES, DESCRIPTION, Objects, Scenes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ELSEWHERE = f"choose another --out, or set {thin_objects.ENVIRONMENT_VARIABLE}"


def check_target(directory: Path, *, force: bool) -> None:
    """Refuse a place that no set may be written to; nothing is written to find out.

    Args:
        directory: Folder of the set.
        force: Whether an older set may be replaced.

    Raises:
        UsageError: There is an older set and no `force`, or something else is in the way.
    """
    if not directory.exists() and not directory.is_symlink():
        return
    ours = directory.is_dir() and not directory.is_symlink() and (directory / DESCRIPTION).is_file()
    empty = directory.is_dir() and not any(directory.iterdir())
    if not ours and not empty:
        raise UsageError("is not a built data set, and is not replaced", where=str(directory), hint=_ELSEWHERE)
    if ours and not force:
        hint = f"--force replaces it, or {_ELSEWHERE}"
        raise UsageError("there is a data set already", where=str(directory), hint=hint)


def write_set(
    directory: Path,
    objects: Mapping[str, Objects],
    scenes: Mapping[str, Scenes],
    about: Mapping[str, Any],
    *,
    notes: Mapping[str, str] | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write a set to a temporary folder beside its place, and rename it when complete.

    Args:
        directory: Where the set goes.
        objects: Part -> its objects.
        scenes: Part -> its scenes.
        about: What else `dataset.json` says: name, seed, icons, packages, credits.
        notes: Name -> content of text files that go with the set.
        force: Whether an older set may be replaced.

    Returns:
        What `dataset.json` says.

    Raises:
        UsageError: As `check_target`, or the file system refuses to take the files. An older set is unharmed then.
    """
    check_target(directory, force=force)
    with _staged(directory) as staging:
        for part in objects:
            _save(staging / thin_objects.objects_file(part), objects[part])
            _save(staging / thin_objects.scenes_file(part), scenes[part])
        description = {
            "schema": thin_objects.SCHEMA,
            "classes": list(CLASSES),
            **about,
            "parts": {part: _counts(objects[part], scenes[part]) for part in objects},
            "sha256": {file.name: thin_objects.file_sha256(file) for file in sorted(staging.iterdir())},
        }
        for name, content in (notes or {}).items():
            (staging / name).write_text(content, encoding="utf-8")
        text = json.dumps(description, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        (staging / DESCRIPTION).write_text(text, encoding="utf-8")
    return description


def _save(file: Path, arrays: Objects | Scenes) -> None:
    # Not compressed: noise hardly shrinks, and the bytes must not depend on the version of zlib.
    np.savez(file, **vars(arrays))


def _counts(objects: Objects, scenes: Scenes) -> dict[str, int]:
    return {
        "objects": len(objects.labels),
        "object_icons": len(np.unique(objects.icons)),
        "scenes": len(scenes.images),
        "scene_objects": len(scenes.labels),
    }


@contextlib.contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A folder that takes the place of `target` if the block succeeds, and vanishes if it does not."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".thin-objects-", dir=target.parent))
    except OSError as error:
        raise _refused(error, target) from error
    try:
        new, old = work / "new", work / "old"
        new.mkdir()
        yield new
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    except OSError as error:
        raise _refused(error, target) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _refused(error: OSError, target: Path) -> UsageError:
    where = os.fsdecode(error.filename) if error.filename else str(target)
    return UsageError(f"cannot be written ({error.strerror or error})", where=where, hint=_ELSEWHERE)
