"""Backgrounds of the scenes: crops of the photographs that scikit-image ships, and textures made of noise.

The photographs are in the public domain or CC0, as their docstrings in `skimage.data` say; those that say nothing are
not used. No photograph is in two parts.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from dwca_export.errors import InputRefusedError, UsageError
from models.data.thin_objects import file_sha256

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.data.thin_objects import Bytes

_TEXTURES = 0.2
_OCTAVES = 5
# What is left of a background's contrast: it is to hide small objects sometimes, and not always.
_HAZE = (0.1, 0.4)
# How many pixels of a photograph become one of the scene.
_ZOOM = (0.7, 3.0)
_INSTALL = "pip install 'dwca-export[data]'"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Photograph:
    """A file of `skimage.data`.

    Attributes:
        file: Its name.
        sha256: Its hash.
        part: The only part that it is used in.
        credit: Who made it, and on which terms it is free.
    """

    file: str
    sha256: str
    part: str
    credit: str


PHOTOGRAPHS = (
    Photograph(
        "astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "train",
        "NASA; public domain",
    ),
    Photograph(
        "clock_motion.png",
        "f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955",
        "train",
        "Stefan van der Walt; public domain",
    ),
    Photograph(
        "grass.png",
        "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
        "train",
        "CC0Textures; CC0-1.0",
    ),
    Photograph(
        "hubble_deep_field.jpg",
        "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
        "train",
        "NASA, Hubble Space Telescope; public domain",
    ),
    Photograph(
        "retina.jpg",
        "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
        "train",
        "Mikael Häggström; CC0-1.0",
    ),
    Photograph(
        "rocket.jpg",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        "train",
        "SpaceX; public domain",
    ),
    Photograph(
        "brick.png",
        "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
        "validation",
        "CC0Textures; CC0-1.0",
    ),
    Photograph(
        "chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "validation",
        "Stefan van der Walt; CC0-1.0",
    ),
    Photograph(
        "camera.png",
        "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
        "test",
        "Lav Varshney; CC0-1.0",
    ),
    Photograph(
        "coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "test",
        "Rachel Michetti; CC0-1.0",
    ),
    Photograph(
        "gravel.png",
        "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
        "test",
        "CC0Textures; CC0-1.0",
    ),
)


def load(folder: Path | None = None) -> dict[str, tuple[Bytes, ...]]:
    """Read the photographs.

    Args:
        folder: Where they are, by default in the installed scikit-image.

    Returns:
        Part -> photographs, uint8 `(H, W, 3)` each.

    Raises:
        UsageError: scikit-image is not installed.
        InputRefusedError: A photograph is absent, or not the one that is meant.
    """
    folder = folder or _installed()
    loaded: dict[str, list[Bytes]] = {}
    for photograph in PHOTOGRAPHS:
        file = folder / photograph.file
        try:
            if file_sha256(file) != photograph.sha256:
                raise InputRefusedError("its SHA-256 is not the expected one", where=str(file), hint=_INSTALL)
            pixels = np.asarray(Image.open(file).convert("RGB"))
        except OSError as error:
            raise InputRefusedError(f"it cannot be read ({error})", where=str(file), hint=_INSTALL) from error
        loaded.setdefault(photograph.part, []).append(pixels)
    return {part: tuple(photographs) for part, photographs in loaded.items()}


def background(side: int, photographs: Sequence[Bytes], generator: np.random.Generator) -> Floats:
    """Make a background: a crop of a photograph, turned, mirrored, hazed and lit at random, or a texture.

    Args:
        side: Height and width in pixels.
        photographs: What to crop from.
        generator: Source of all choices.

    Returns:
        float64 `(side, side, 3)`, 0 to 255.
    """
    if generator.random() < _TEXTURES:
        pixels = _texture(side, generator)
    else:
        photograph = photographs[int(generator.integers(len(photographs)))]
        pixels = _crop(photograph, side, generator)
    mean = pixels.mean((0, 1))
    pixels = mean + (pixels - mean) * generator.uniform(*_HAZE)
    gain, offset = generator.uniform(0.5, 1.1), generator.uniform(-20, 40)
    tint = generator.uniform(0.85, 1.15, 3)
    return np.asarray(np.clip(pixels * gain * tint + offset, 0, 255))


def _crop(photograph: Bytes, side: int, generator: np.random.Generator) -> Floats:
    height, width = photograph.shape[:2]
    size = min(side * float(np.exp(generator.uniform(*np.log(_ZOOM)))), height, width)
    x, y = generator.uniform(0, width - size), generator.uniform(0, height - size)
    # Pillow converts what it resizes: only the crop, and not the photograph, is handed over.
    x0, y0, x1, y1 = int(x), int(y), int(np.ceil(x + size)), int(np.ceil(y + size))
    piece = Image.fromarray(photograph[y0:y1, x0:x1])
    box = (x - x0, y - y0, min(x - x0 + size, piece.width), min(y - y0 + size, piece.height))
    pixels = np.asarray(piece.resize((side, side), Image.Resampling.BILINEAR, box), np.float64)
    pixels = np.rot90(pixels, int(generator.integers(4)))
    return pixels[:, :: int(generator.choice((-1, 1)))]


def _texture(side: int, generator: np.random.Generator) -> Floats:
    """Noise whose amplitude falls with frequency, as it does in photographs of natural scenes."""
    total = np.full((side, side, 3), 1.0) * generator.uniform(40, 215, 3)
    strength = generator.uniform(5, 35)
    for octave in range(1, _OCTAVES + 1):
        cells = 2**octave
        noise = generator.normal(0, strength * 2 / cells**0.5, (cells, cells)).astype(np.float32)
        total += np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC))[:, :, np.newaxis]
    return np.clip(total, 0, 255)


def _installed() -> Path:
    # Found without being imported: its data alone are needed, and not what it depends on.
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise UsageError("scikit-image is not installed", hint=_INSTALL)
    return Path(found.origin).parent / "data"
