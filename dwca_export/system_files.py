"""Small text files of /proc and /sys, below a root that tests can plant; what cannot be read is not there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path("/")


def read(path: Path) -> str:
    """The text of a file without white space around it; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n\t")
    except OSError:
        return ""


def read_number(path: Path) -> float | None:
    """The number in a file, decimal or `0x` and hexadecimal; None where there is none."""
    text = read(path)
    try:
        return float(int(text, 16)) if text.startswith("0x") else float(text)
    except ValueError:
        return None


def field(text: str, name: str) -> str:
    """The value of the first line `name : value`; empty where there is none."""
    found = re.search(rf"^{name}[ \t]*:[ \t]*(.*)$", text, re.M)
    return found[1].strip() if found else ""


def numbered(folder: Path, prefix: str) -> list[Path]:
    """The entries `prefix0`, `prefix1`, ... of a folder, by number; none where it cannot be listed."""
    try:
        entries = [entry for entry in folder.iterdir() if entry.name.removeprefix(prefix).isdecimal()]
    except OSError:
        return []
    return sorted(
        (entry for entry in entries if entry.name.startswith(prefix)), key=lambda e: int(e.name[len(prefix) :])
    )
