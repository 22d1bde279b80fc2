"""Writes files whole or not at all."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """Write a file in one step: an older one stays until the new one is complete, and where that fails.

    Args:
        file: The file; its folder exists.
        content: All of it.

    Raises:
        OSError: It cannot be written.
    """
    new = file.with_name(f".{file.name}")
    try:
        new.write_bytes(content)
        new.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
