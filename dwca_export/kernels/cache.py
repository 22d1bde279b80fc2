"""Keeps what was measured on this machine: one small JSON file for each question, in the user's cache folder.

The folder is `$DWCA_CACHE_DIR`, else `$XDG_CACHE_HOME/dwca-export`, else `~/.cache/dwca-export`. The question is part
of the file's name and stands in it, with the processor and the native library that it was asked of: an answer of
another processor, or of another build, is not found or not believed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwca_export.kernels.native import isas

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = 1
CACHE_DIR = "DWCA_CACHE_DIR"

# What tells processors apart: x86 names the model, ARM the designer's number of the core.
_CPU_LINES = ("model name", "cpu implementer", "cpu part", "cpu variant", "cpu revision")


def on_this_machine(question: Mapping[str, Any]) -> dict[str, Any]:
    """The question with all else that the answer depends on, in the form in which JSON gives it back.

    Args:
        question: What JSON can hold.
    """
    machine = {"cpu": cpu_identity(), "isas": isas(), "library": library_identity()}
    given_back: dict[str, Any] = json.loads(json.dumps({"schema": SCHEMA, "machine": machine, **question}))
    return given_back


def cache_folder() -> Path:
    """Where answers are kept.

    Raises:
        RuntimeError: The user has no home.
    """
    if own := os.environ.get(CACHE_DIR):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dwca-export"


def cpu_identity(path: Path = Path("/proc/cpuinfo")) -> list[str]:
    """What tells this processor from others, each distinct line once.

    Args:
        path: What Linux says about it.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    pairs = (line.partition(":")[::2] for line in lines)
    found = {f"{key.strip()}: {value.strip()}" for key, value in pairs if key.strip().lower() in _CPU_LINES}
    return sorted(found) or [platform.machine(), platform.processor()]


def library_identity() -> str:
    """A hash of the native library: another build may be fast at something else."""
    spec = importlib.util.find_spec("dwca_export.kernels._native")
    library = Path(spec.origin).read_bytes() if spec and spec.origin else b""
    return hashlib.sha256(library).hexdigest()[:16]


def _path(question: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]
    return cache_folder() / f"kernel-{digest}.json"


def recall(question: dict[str, Any], possible: Sequence[str]) -> str | None:
    """What was found before, None if nothing was or it cannot be believed.

    Args:
        question: As `on_this_machine` puts it.
        possible: Answers that there can be.
    """
    try:
        path = _path(question)
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        _warn(f"what was measured before cannot be read ({error}); measuring again")
        return None
    try:
        kept = json.loads(text)
        if kept["question"] == question and kept["answer"] in possible:
            return str(kept["answer"])
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    _warn(f"{path} is damaged or answers another question; measuring again")
    return None


def remember(question: dict[str, Any], answer: str, evidence: Sequence[Mapping[str, Any]]) -> None:
    """Write what was found; the file appears whole or not at all, whoever else writes it at the same time.

    Args:
        question: As `on_this_machine` puts it.
        answer: What was found.
        evidence: What it was concluded from, for people.
    """
    text = json.dumps({"question": question, "answer": answer, "measured": list(evidence)}, indent=2)
    try:
        path = _path(question)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, text)
    except (OSError, RuntimeError) as error:
        _warn(f"what was measured cannot be kept ({error}); it will be measured again next time")


def _write_whole(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(prefix=path.stem, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _warn(what: str) -> None:
    warnings.warn(f"kernels.auto: {what}; set {CACHE_DIR} to another folder if this comes back", stacklevel=4)
