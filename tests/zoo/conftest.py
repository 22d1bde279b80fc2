from __future__ import annotations

import os
import runpy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from zoo_exports import ARCHITECTURES, package_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def other_packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let timm and Ultralytics be imported.

    They import torchvision, whose compiled part there is for torch with CUDA only: without it, what it would have
    declared is declared here.
    """
    os.environ["YOLO_CONFIG_DIR"] = str(tmp_path_factory.mktemp("ultralytics"))
    # Ultralytics reads these when it is imported: it must neither install what it misses nor download anything.
    os.environ["YOLO_AUTOINSTALL"], os.environ["YOLO_OFFLINE"] = "false", "true"
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    yield
    library._destroy()


@pytest.fixture(scope="session")
def factory() -> Callable[..., Any]:
    """`factory(function, **arguments)`: a network of `architectures/other_networks.py`, as `--arch` would make it."""
    functions: dict[str, Any] = {}

    def make(function: str, /, **arguments: Any) -> torch.nn.Module:
        functions.update(functions or runpy.run_path(str(ARCHITECTURES)))
        torch.manual_seed(0)
        network: torch.nn.Module = functions[function](**arguments)
        return network

    return make


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of the photographs that Ultralytics ships: people, faces and a bus."""
    return package_file("ultralytics", "assets")


@pytest.fixture(scope="session")
def photo(photos: Path) -> Callable[[int, int], np.ndarray]:
    """`photo(height, width)`: a face in zidane.jpg as a network's input, in [-1, 1]."""
    from PIL import Image

    def make(height: int, width: int) -> np.ndarray:
        with Image.open(photos / "zidane.jpg") as image:
            pixels = np.asarray(image.crop((860, 100, 1040, 280)).resize((width, height)), np.float32)
        return np.ascontiguousarray((pixels / 127.5 - 1).transpose(2, 0, 1)[np.newaxis])

    return make
