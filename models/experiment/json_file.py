"""Writes JSON documents: whole or not at all, and lists of numbers on one line each."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from dwca_export.errors import UsageError
from models.whole_file import write_whole

if TYPE_CHECKING:
    from pathlib import Path

_FLAT = re.compile(r"\[[^\[\]{}\"]*\]")


def json_text(content: Any) -> str:
    """The document as text; the same for the same document."""
    text = json.dumps(content, indent=1, allow_nan=False)
    return _FLAT.sub(lambda found: " ".join(found[0].split()).replace("[ ", "[").replace(" ]", "]"), text) + "\n"


def write_json(content: Any, file: Path) -> None:
    """Write a document; an older one stays until the new one is complete.

    Raises:
        UsageError: The file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json_text(content).encode())
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise UsageError(what, where=str(file), hint="name another folder") from error
