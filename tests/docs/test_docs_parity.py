"""The page on dwca-parity: its JSON, its figures, and what it shows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from documents import ROOT, codes, fences, first_cells, name_faults, page, prose, section
from test_docs_bundle import key_paths
from test_docs_snippets import same

from dwca_export.cli.parity_settings import FIGURES
from dwca_export.parity.diagnose import KINDS
from tools.mutations import renew_hashes

if TYPE_CHECKING:
    from pathlib import Path

# Documented on another page, or once for all places where they occur.
ELSEWHERE = (
    "hops.outputs[].",
    "hops.values[].",
    "first_fault.",
    "paths.",
    "ranges.",
    "precision_fix.",
    "tolerances.*.",
)
FIGURES_IN = ("modes[].outputs[].", "images.modes[].outputs[].", "layers[].added.", "layers[].carried.")


def run(bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dwca_export.cli.parity", str(bundle), *arguments]
    return subprocess.run(command, cwd=bundle.parent, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def document(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document of a bundle with a fault, on images, with everything that can be asked for."""
    from dwca_export.ncnn.param import Param

    bundle = tmp_path_factory.mktemp("parity") / "bundle"
    shutil.copytree(workplace / "demo/fashion_dwca_ncnn_model", bundle)
    layers = Param.parse((bundle / "model.ncnn.param").read_text(encoding="utf-8")).layers
    assert any(layer.type == "GroupNorm" for layer in layers)
    arguments = ["--images", str(workplace / "images.npy"), "--paths", "--tolerance", "fp32.layer_l2=1e-12", "--json"]
    done = run(bundle, *arguments)
    assert done.returncode == 5, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    # Detectors alone have it; a classifier has null.
    for one in found["images"]["modes"]:
        assert one["boxes"] is None
        one["boxes"] = {"candidates": 1, "agreed": 1, "least_iou": 1.0, "score_difference": 0.0}
    return found


def json_faults(text: str, document: dict[str, Any]) -> list[str]:
    existing = {key for key in key_paths(document) if not key.startswith((*ELSEWHERE, *FIGURES_IN))}
    documented = codes(first_cells(text.partition("### Figures")[0]))
    return name_faults(documented, existing)


def test_every_key_of_the_json_is_documented(document: dict[str, Any]) -> None:
    text = section(page("parity"), "JSON", level=2)
    assert json_faults(text, document) == []
    assert json_faults(text, {**document, "planted": 1}) == ["planted is not documented"]
    assert json_faults(text.replace("`layers[].kind`", "`layers[].sort`"), document) == [
        "layers[].kind is not documented",
        "layers[].sort does not exist",
    ]


def test_the_first_fault_has_the_keys_of_a_layer(document: dict[str, Any]) -> None:
    assert document["first_fault"] in document["layers"]


def test_every_figure_is_documented(document: dict[str, Any]) -> None:
    documented = codes(first_cells(section(page("parity"), "Figures", level=3)))
    found = [*document["modes"][0]["outputs"], *document["images"]["modes"][0]["outputs"]]
    found += [layer[key] for layer in document["layers"] for key in ("added", "carried")]
    assert all(name_faults(documented, figures) == [] for figures in found)


def test_every_figure_of_a_tolerance_is_documented() -> None:
    documented = codes(first_cells(section(page("parity"), "Tolerances", level=2)))
    assert name_faults(documented, FIGURES) == []


def test_every_kind_of_fault_is_documented() -> None:
    documented = codes([prose(section(page("parity"), "What it prints", level=2))])
    assert [kind for kind in KINDS if kind not in documented] == []


def shown_faults(shown: str, printed: str) -> list[str]:
    """Lines that differ in more than the last digits, and in more than the version and the machine."""
    pairs = zip(shown.splitlines()[1:], printed.splitlines()[1:], strict=True)
    return [line for line, other in pairs if not same(line, other)]


@pytest.mark.slow
def test_the_page_shows_what_the_command_prints(tmp_path: Path) -> None:
    samples = ["--images", "models/zoo/fashion_samples.npz", "--samples", "8", "--precision", "fp32,fp16"]
    arguments = ["models/zoo/fashion_dwca.pt", "--arch", "models/nets.py:classifier", *samples, "--out", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "dwca_export.cli.export", *arguments, "-q"], cwd=ROOT, check=True)
    bundle = tmp_path / "fashion_dwca_ncnn_model"
    passing, failing, _ = fences(page("parity"), "text")
    # Order and mode of the layers that add most are a matter of the last digits.
    printed = run(bundle).stdout
    assert shown_faults(passing.partition("\n\n")[0], printed.partition("\n\n")[0]) == []
    assert shown_faults(passing[passing.index("not run:") :], printed[printed.index("not run:") :]) == []

    param = bundle / "model.ncnn.param"
    lines = param.read_text(encoding="utf-8").splitlines()
    at = next(index for index, line in enumerate(lines) if " groupnorm_52 " in line)
    assert " 0=4 " in lines[at]
    lines[at] = lines[at].replace(" 0=4 ", " 0=1 ")
    param.write_text("\n".join(lines) + "\n", encoding="utf-8")
    renew_hashes(bundle, param.name)
    printed = run(bundle, "--mode", "fp32").stdout
    assert shown_faults(failing[failing.index("First") :], printed[printed.index("First") :]) == []
