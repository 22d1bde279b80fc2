from __future__ import annotations

import shutil

import numpy as np
import pytest
from commands import ARCH, run_here

from dwca_export.cli.parity import app
from dwca_export.pipeline import export
from dwca_export.request import ExportRequest


@pytest.fixture(scope="session")
def pixels():
    """Images of the tiny network's own size, as 8-bit pixels."""
    return np.random.default_rng(0).integers(0, 256, (3, 24, 16, 3), np.uint8)


@pytest.fixture(scope="session")
def exported(models, pixels, tmp_path_factory):
    """A bundle of the tiny network, with both weight files; not to be changed."""
    folder = tmp_path_factory.mktemp("parity")
    np.save(folder / "images.npy", pixels)
    request = ExportRequest(
        model=models / "state.pt",
        out=folder,
        shapes=((1, 3, 24, 16),),
        arch=ARCH,
        precisions=("fp32", "fp16"),
        images=folder / "images.npy",
    )
    return export(request).bundle


@pytest.fixture
def bundle(exported, tmp_path):
    """A copy of the bundle, to be changed."""
    return shutil.copytree(exported, tmp_path / "tiny_ncnn_model")


@pytest.fixture
def judge(monkeypatch, capsys, tmp_path):
    """`judge(*arguments)`: run `dwca-parity` in this process, in an empty folder without settings."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    def call(*arguments):
        return run_here(app, "dwca-parity", arguments, monkeypatch, capsys)

    return call
