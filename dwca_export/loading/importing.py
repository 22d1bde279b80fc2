"""Imports of the user's own modules, from where the user runs the command."""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def importable(*folders: Path) -> Iterator[None]:
    """Make the modules of some folders, and of the current one, importable for a while.

    Args:
        folders: Searched first, in this order; the current folder follows, then the usual places.

    Yields:
        Nothing. What was imported stays imported; the search path is as before afterwards.
    """
    added = [str(folder.resolve()) for folder in (*folders, Path.cwd())]
    sys.path[:0] = added
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for folder in added:
            with contextlib.suppress(ValueError):
                sys.path.remove(folder)
