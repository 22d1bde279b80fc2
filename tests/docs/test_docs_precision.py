"""The page on reduced precision: its JSON, its findings and the manifest's entry."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from documents import codes, first_cells, name_faults, page, section
from test_docs_bundle import key_paths

from dwca_export.audit.ranges import RangeFault
from dwca_export.runners.bundle import read_manifest

MODE = "bf16-storage"
OF_THIS_PAGE = ("ranges.", "precision_fix.")


@pytest.fixture(scope="module")
def document(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document of a bundle in which a layer got a mask, on numbers that leave little headroom."""
    place = tmp_path_factory.mktemp("precision")
    bundle = shutil.copytree(workplace / "demo/fashion_dwca_ncnn_model", place / "fashion_dwca_ncnn_model")
    np.save(place / "large.npy", np.full(read_manifest(bundle)["inputs"][0]["shape"], 1e5, np.float32))
    command = [sys.executable, "-m", "dwca_export.cli.parity", "fashion_dwca_ncnn_model", "--ranges", "--json"]
    narrow = ["--tolerance", f"{MODE}.layer_l2=0.002", "--images", "large.npy", "--mode", MODE]
    command += ["--fix-precision", MODE, *narrow]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode in (0, 5), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["ranges"]["findings"]
    assert found["precision_fix"]["layers"]
    return found


def test_every_key_of_the_json_is_documented(document: dict[str, Any]) -> None:
    existing = {key for key in key_paths(document) if key.startswith(OF_THIS_PAGE)}
    documented = codes(first_cells(section(page("precision"), "JSON", level=2)))
    assert name_faults(documented, existing) == []
    assert name_faults(documented, {*existing, "planted"}) == ["planted is not documented"]


def test_the_entry_of_the_manifest_is_documented(document: dict[str, Any]) -> None:
    manifest = read_manifest(Path(document["bundle"]))
    existing = {key for key in key_paths(manifest) if key.startswith("precision_masks")}
    documented = codes(first_cells(section(page("precision"), "The smallest precision mask", level=2)))
    assert name_faults(documented, existing - {"precision_masks[].layers"}) == []


def test_every_finding_is_documented() -> None:
    documented = codes(first_cells(section(page("precision"), "The range of fp16", level=2)))
    assert sorted(documented) == sorted(get_args(RangeFault))
