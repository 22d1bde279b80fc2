from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

BUNDLE = "demo/fashion_dwca_ncnn_model"  # where the documentation has the demo's
NETWORK = """
import torch
from dwca_export import DWCABlock

def network():
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 16, 3, 2, 1), DWCABlock(16, 16), DWCABlock(16, 24, stride=2)
    return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
"""


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small network, a bundle of it in `BUNDLE`, and in `success.json` what `--json` printed."""
    import torch

    folder = tmp_path_factory.mktemp("docs")
    (folder / "nets.py").write_text(NETWORK)
    namespace: dict[str, Any] = {}
    exec(NETWORK, namespace)  # noqa: S102  ours, from above
    torch.save(namespace["network"]().state_dict(), folder / "model.pt")
    np.save(folder / "images.npy", np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8))
    command = [sys.executable, "-m", "dwca_export.cli.export", "model.pt", "--arch", "nets.py:network"]
    options = ["--shape", "1x3x32x32", "--images", "images.npy", "--precision", "fp32,fp16", "--out", BUNDLE, "--json"]
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "success.json").write_text(done.stdout)
    return folder


@pytest.fixture
def bundle(workplace: Path) -> Path:
    """The bundle."""
    return workplace / BUNDLE
