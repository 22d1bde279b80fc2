"""Paths that the libraries take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def path_fault(path: Path) -> str:
    """Say what keeps a path from being used.

    Linux takes any bytes as a name; onnx, torch and ncnn take UTF-8.

    Args:
        path: A file or folder; it need not exist.

    Returns:
        The fault; empty where there is none.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "the path is not UTF-8, which onnx, torch and ncnn ask for"
    return ""
