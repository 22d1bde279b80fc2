from __future__ import annotations

import pytest
import torch
from three_blocks import Net, trained_like

from dwca_export.pipeline import export
from dwca_export.request import ExportRequest


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    """A bundle for a square input."""
    folder = tmp_path_factory.mktemp("sound")
    torch.manual_seed(0)
    torch.save(trained_like(Net()).eval(), folder / "net.pt")
    options = {"shapes": ((1, 3, 24, 24),), "trust_all": True, "samples": 2}
    return export(ExportRequest(folder / "net.pt", **options)).bundle
