"""Pages, links and files that the documentation names exist."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from documents import PAGES, ROOT, documents, prose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def nav_pages(entries: Any) -> Iterator[str]:
    if isinstance(entries, str):
        yield entries
    for entry in entries if isinstance(entries, list) else entries.values() if isinstance(entries, dict) else ():
        yield from nav_pages(entry)


def nav_faults(existing: set[str]) -> list[str]:
    config = yaml.safe_load((ROOT / "docs/mkdocs.yml").read_text(encoding="utf-8"))
    named = set(nav_pages(config["nav"]))
    faults = [f"nav names {name}, which does not exist" for name in sorted(named - existing)]
    return faults + [f"{name} is not in nav" for name in sorted(existing - named)]


def test_every_page_is_in_nav_and_exists() -> None:
    existing = {path.name for path in PAGES.glob("*.md")}
    assert nav_faults(existing) == []
    assert nav_faults(existing - {"cli.md"}) == ["nav names cli.md, which does not exist"]
    assert nav_faults(existing | {"planted.md"}) == ["planted.md is not in nav"]


def anchors(text: str) -> set[str]:
    """Identifiers that mkdocs gives to headings."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def link_faults(path: Path, text: str) -> list[str]:
    faults = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        file, _, anchor = target.partition("#")
        aim = (path.parent / file).resolve() if file else path
        if re.match(r"\w+://", target):
            continue
        # The pages are a site of their own, which nothing outside belongs to.
        if not aim.exists() or (path.parent == PAGES and PAGES not in aim.parents):
            faults.append(f"{path.name}: {target} leads nowhere")
        elif anchor and anchor not in anchors(text if aim == path else aim.read_text(encoding="utf-8")):
            faults.append(f"{path.name}: {target} has no such heading")
    return faults


def test_every_link_leads_somewhere() -> None:
    assert [fault for path, text in documents().items() for fault in link_faults(path, text)] == []


@pytest.mark.parametrize("target", ["cli.md", "cli.md#exit-codes", "#links", "https://example.org/nothing"])
def test_a_good_link_passes(target: str) -> None:
    assert link_faults(PAGES / "index.md", f"# Links\n\n[here]({target})\n") == []


@pytest.mark.parametrize("target", ["clo.md", "cli.md#exit-code", "#planted", "../../README.md"])
def test_a_dead_link_is_found(target: str) -> None:
    assert len(link_faults(PAGES / "index.md", f"# Links\n\n[here]({target})\n")) == 1


def path_faults(text: str) -> list[str]:
    """Files and folders of the repository that are named in backticks."""
    named = re.findall(r"`((?:dwca_export|models|tools|tests|docs)/[\w./-]*)`", text)
    return [f"there is no {path}" for path in named if not (ROOT / path).exists()]


def test_every_file_named_exists() -> None:
    assert [fault for text in documents().values() for fault in path_faults(text)] == []
    assert path_faults("`dwca_export/pipeline.py` and `tools/planted`") == ["there is no tools/planted"]


def test_mkdocs_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(ROOT / "docs/mkdocs.yml")]
    done = subprocess.run([*command, "-d", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
