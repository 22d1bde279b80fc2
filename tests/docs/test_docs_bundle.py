"""The bundle and the JSON output are documented key by key."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from documents import ROOT, codes, fences, first_cells, name_faults, page, section

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Objects of the manifest whose keys are data, documented as `*`.
MAPS = ("tools.", "networks.", "tolerances.", "files.", "values[].hops.")


def key_paths(document: Mapping[str, Any], prefix: str = "") -> set[str]:
    """Every key with the keys that lead to it: `inputs[].name`."""
    paths = set()
    for key, value in document.items():
        name = f"{prefix}{'*' if prefix in MAPS else key}"
        paths.add(name)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                paths |= key_paths(part, f"{name}[]." if isinstance(value, list) else f"{name}.")
    return paths


def documented(text: str) -> list[str]:
    return codes(first_cells(text))


def test_every_key_of_the_manifest_is_documented(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    # What may be empty or null is there, or its keys would not be seen.
    assert manifest["blocks"]
    assert manifest["inputs"][0]["preprocessing"]
    assert any(tap["stacked_groups"] for tap in manifest["taps"])
    text = section(page("bundle"), "manifest.json", level=2)
    assert name_faults(documented(text), key_paths(manifest)) == []
    assert name_faults(documented(text), key_paths({**manifest, "planted": 1})) == ["planted is not documented"]
    wrong = text.replace("`taps[].blob`", "`taps[].planted`")
    assert name_faults(documented(wrong), key_paths(manifest)) == [
        "taps[].blob is not documented",
        "taps[].planted does not exist",
    ]


def test_every_key_of_the_table_of_values_is_documented(bundle: Path) -> None:
    table = json.loads((bundle / "layers.json").read_text(encoding="utf-8"))
    figures = set(json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["parity"][0]["outputs"][0])
    paths = {path for path in key_paths(table) if path.rpartition(".")[2] not in figures or path.count(".") == 1}
    text = section(page("bundle"), "layers.json", level=2)
    assert name_faults(documented(text), paths) == []
    assert name_faults(documented(text), {*paths, "values[].planted"}) == ["values[].planted is not documented"]


def test_every_file_of_the_bundle_is_documented(bundle: Path) -> None:
    text = section(page("bundle"), "Files", level=2)
    existing = [path.name for path in bundle.iterdir()]
    assert name_faults(documented(text), existing) == []
    assert name_faults(documented(text), [*existing, "planted"]) == ["planted is not documented"]


def golden_faults(text: str, keys: list[str]) -> list[str]:
    patterns = [re.sub(r"<\w+>", ".+", key) for key in documented(section(text, "golden.npz", level=2))]
    faults = [key for key in keys if not any(re.fullmatch(pattern, key) for pattern in patterns)]
    return faults + [pattern for pattern in patterns if not any(re.fullmatch(pattern, key) for key in keys)]


def test_every_key_of_the_golden_tensors_is_documented(bundle: Path) -> None:
    with np.load(bundle / "golden.npz") as golden:
        keys = golden.files
    assert golden_faults(page("bundle"), keys) == []
    assert golden_faults(page("bundle"), [*keys, "planted/0"]) == ["planted/0"]
    assert golden_faults(page("bundle"), [key for key in keys if not key.startswith("tap/")]) == ["tap/.+"]


def test_the_json_of_a_success_is_documented(workplace: Path, bundle: Path) -> None:
    document = json.loads((workplace / "success.json").read_text())
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    text = section(page("cli"), "Success", level=3)
    assert {key: document[key] for key in manifest} == manifest
    assert name_faults(documented(text), document.keys() - manifest.keys()) == []


def test_the_json_of_a_failure_is_documented(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dwca_export.cli.export", "missing.pt", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    text = section(page("cli"), "Failure", level=3)
    assert document == json.loads(fences(text, "json")[0])
    assert name_faults(documented(text), key_paths(document) - {"error"}) == []
    assert done.returncode == document["error"]["exit_code"]


def test_the_figures_of_the_checkpoints_are_those_of_their_cards() -> None:
    rows = re.findall(r"^\| `(models/zoo/\w+)\.pt` \| (\S+) % \| (\S+) \| (\S+) \|$", page("models"), re.MULTILINE)
    assert len(rows) == len(list((ROOT / "models/zoo").glob("fashion_*.pt")))
    for name, accuracy, parameters, shape in rows:
        card = json.loads((ROOT / f"{name}.card.json").read_text(encoding="utf-8"))
        assert float(accuracy) == pytest.approx(100 * card["metrics"]["test_accuracy"])
        assert int(parameters.replace(",", "")) == card["parameters"]
        assert shape == "x".join(map(str, card["input"]["shape"]))
