"""What the tests of other people's networks share."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from dwca_export.pipeline import Export, export
from dwca_export.progress import Progress
from dwca_export.request import ExportRequest

ARCHITECTURES = Path(__file__).parent / "architectures" / "other_networks.py"
RIGHT = 2e-5  # sums in another order; measured: below 5e-6


def exported(file: Path, shape: tuple[int, ...] | None, **options: Any) -> Export:
    """Export a file as the command does."""
    request = ExportRequest(file, shapes=(shape,) if shape else None, samples=2, **options)
    return export(request, Progress(quiet=True))


def saved(network: torch.nn.Module, folder: Path) -> Path:
    """The file with the network's state dict."""
    torch.save(network.state_dict(), folder / "net.pt")
    return folder / "net.pt"


def package_file(package: str, *path: str) -> Path:
    """A file that an installed package ships."""
    spec = find_spec(package)
    assert spec is not None, "tools/zoo-requirements.txt is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent.joinpath(*path)


def copied(file: Path, folder: Path) -> Path:
    """A copy in a folder where the bundle can be written beside it."""
    return Path(shutil.copy(file, folder))


def raw_predictor() -> type:
    """Ultralytics' predictor, which keeps the last input and output of its network in place of making boxes of them.

    Its non-maximum suppression would need torchvision's compiled part.
    """
    from ultralytics.engine.results import Results
    from ultralytics.models.yolo.detect import DetectionPredictor

    class RawPredictor(DetectionPredictor):
        def postprocess(self, preds: Any, img: torch.Tensor, orig_imgs: list[Any], **_: Any) -> list[Results]:
            self.seen_last = (img, preds)
            return [Results(original, path="", names=self.model.names) for original in orig_imgs]

    return RawPredictor
