"""Reads the documentation: pages, sections, tables and code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs/pages"
README = ROOT / "README.md"
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    """A page of the user guide."""
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def documents() -> dict[Path, str]:
    """All that users read."""
    paths = [README, ROOT / "CHANGELOG.md", *sorted(PAGES.glob("*.md"))]
    return {path: path.read_text(encoding="utf-8") for path in paths}


def fences(text: str, language: str) -> list[str]:
    """Blocks of code."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """What is no block of code."""
    return _FENCE.sub("", text)


def section(text: str, title: str, level: int) -> str:
    """The text below a heading, up to the next of its level or above."""
    pattern = rf"^{'#' * level} {re.escape(title)}$(.*?)(?=^#{{1,{level}}} |\Z)"
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def first_cells(text: str) -> list[str]:
    """First cell of every row of every table."""
    return re.findall(r"^\| (.+?) \|", text, re.MULTILINE)


def codes(cells: Iterable[str]) -> list[str]:
    """What is in backticks."""
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]


def shell_lines(text: str) -> list[str]:
    """Commands of the shell, one a line."""
    joined = "".join(fences(text, "sh")).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip()]


def name_faults(documented: Iterable[str], existing: Iterable[str]) -> list[str]:
    """Compare what is documented with what there is."""
    documented, existing = set(documented), set(existing)
    faults = [f"{name} is not documented" for name in sorted(existing - documented)]
    return faults + [f"{name} does not exist" for name in sorted(documented - existing)]
