"""Makes a folder all at once: written beside its final place, renamed when complete.

A failed or interrupted export leaves nothing behind and never harms an older bundle.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from dwca_export.bundle import MANIFEST
from dwca_export.errors import UsageError
from dwca_export.paths import path_fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ELSEWHERE = "choose another --out"
# Errors of the operating system that the place is to blame for, not the program.
_HINTS = {
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.EROFS: _ELSEWHERE,
    errno.EEXIST: _ELSEWHERE,
    errno.ENOTDIR: _ELSEWHERE,
    errno.ENAMETOOLONG: "choose a shorter --out",
    errno.ENOSPC: f"free some space there and in the folder for temporary files (TMPDIR), or {_ELSEWHERE}",
    errno.EDQUOT: f"the quota is used up: {_ELSEWHERE}",
    errno.EFBIG: f"the file is larger than allowed here (ulimit -f): {_ELSEWHERE}",
}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))


def check_target(target: Path, *, force: bool, sources: Sequence[Path] = ()) -> None:
    """Refuse a place that no bundle may be written to; nothing is written to find out.

    Args:
        target: The bundle.
        force: Whether an older bundle may be replaced.
        sources: Files that are read to make it.

    Raises:
        UsageError: There is an older bundle and no `force`, something else is in the way, a source lies in it, or its
            path is not UTF-8.
    """
    if fault := path_fault(target):
        raise UsageError(fault, where=str(target), hint=_ELSEWHERE)
    with _place_to_blame(target):
        if not target.exists() and not target.is_symlink():
            return
        if not force:
            raise UsageError("exists already", where=str(target), hint=f"--force replaces it, or {_ELSEWHERE}")
        if target.is_symlink() or not target.is_dir() or (any(target.iterdir()) and not (target / MANIFEST).is_file()):
            raise UsageError(
                "is not a bundle, and is not replaced", where=str(target), hint=f"move it away, or {_ELSEWHERE}"
            )
        for source in sources:
            if target.resolve() in source.resolve().parents:
                raise UsageError(
                    f"replacing it would delete {source}", where=str(target), hint=f"move that file, or {_ELSEWHERE}"
                )


@contextlib.contextmanager
def staged(target: Path, *, force: bool) -> Iterator[Path]:
    """A folder that becomes `target` if the `with` block succeeds, and vanishes if it does not.

    Args:
        target: The bundle.
        force: Whether an older bundle may be replaced.

    Raises:
        UsageError: As `check_target`, or the file system refuses to take the folder or what is written to it.
    """
    check_target(target, force=force)
    with _place_to_blame(target.parent), _parents(target.parent):
        staging = Path(tempfile.mkdtemp(prefix=".dwca-", dir=target.parent))
        try:
            # mkdtemp makes it private; the bundle is as readable as the user's other folders.
            staging.chmod(0o777 & ~_umask())
            yield staging
            with _undisturbed():
                _publish(staging, target)
        finally:
            with _undisturbed():
                shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def _place_to_blame(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into an error that says so."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0)
        if hint is None:
            raise
        where = os.fsdecode(error.filename) if error.filename else str(path)
        raise UsageError(f"{error.strerror}", where=where, hint=hint) from error


@contextlib.contextmanager
def _parents(folder: Path) -> Iterator[None]:
    """Make the missing folders; those that are still empty at the end are removed."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        with _undisturbed():
            for path in missing:
                with contextlib.suppress(OSError):  # not empty: the bundle is in it
                    path.rmdir()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore the signals that ask the process to end: for the few milliseconds of renaming and of cleaning up."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield
        return
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _publish(staging: Path, target: Path) -> None:
    """Put the new bundle in place of the old one, which comes back if that fails."""
    if not target.exists():
        staging.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=".dwca-old-", dir=target.parent))
    try:
        target.rename(old / target.name)
        try:
            staging.rename(target)
        except BaseException:
            (old / target.name).rename(target)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
