"""Knows whether another benchmark is measuring on this machine."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows has none: nothing is known there
    fcntl = None  # type: ignore[assignment]

_NAME = "dwca-bench.lock"


@contextlib.contextmanager
def other_instance(folder: Path | None = None) -> Iterator[int | None]:
    """Hold the machine's one lock for benchmarks, or find out who does.

    The lock is the kernel's and ends with the process, however that ends: the file that it is on may stay.

    Args:
        folder: Where the file lies; by default the folder for temporary files.

    Yields:
        None if no other benchmark runs, or nothing can be known; else its process number, 0 if that is not known.
    """
    path = (folder or Path(tempfile.gettempdir())) / _NAME
    descriptor = _open(path) if fcntl else None
    if descriptor is None:
        yield None
        return
    try:
        yield _take(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int | None:
    """Open the file for writing, or for reading if it is another user's; never through a link that somebody planted."""
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        with contextlib.suppress(OSError):
            return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    return None


def _take(descriptor: int) -> int | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        said = os.read(descriptor, 20).decode(errors="replace").strip()
        return int(said) if said.isdecimal() else 0
    except OSError:  # a file system without locks
        return None
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    return None
