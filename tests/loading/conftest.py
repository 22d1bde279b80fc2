from __future__ import annotations

import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder; modules imported from it are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def zip_of_pickle(folder: Path) -> Callable[[bytes], Path]:
    """Writes a file as torch.save does, around a pickle made by hand."""

    def write(pickle: bytes) -> Path:
        file = folder / "crafted.pt"
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in (("data.pkl", pickle), ("version", b"3\n"), ("byteorder", b"little")):
                archive.writestr(f"crafted/{name}", content)
        return file

    return write
