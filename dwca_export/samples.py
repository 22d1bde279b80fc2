"""The data that parity is proven on: the user's images or arrays, or seeded noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.errors import InputRefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dwca_export.artifacts import TensorSpec

Feeds = dict[str, np.ndarray]

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_IMAGE_RANKS = (3, 4)  # N, H, W and N, H, W, C


@dataclass(frozen=True)
class Preprocessing:
    """How 8-bit pixels become the network's input: `(pixel / 255 - mean) / std` per channel.

    Attributes:
        mean: One value per channel, or one for all.
        std: As `mean`.
        known: Whether the checkpoint's card says so; otherwise these are the defaults.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    known: bool = False

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Preprocessing:
        """Read `input.mean` and `input.std` of a card; the defaults where it has none."""
        described = card.get("input", {})
        if "mean" not in described or "std" not in described:
            return cls()
        return cls(tuple(map(float, described["mean"])), tuple(map(float, described["std"])), known=True)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Convert one image.

        Args:
            pixels: uint8, (H, W, C).

        Returns:
            float32, (1, C, H, W).
        """
        planes = pixels.astype(np.float32).transpose(2, 0, 1) / np.float32(255)
        mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (self.mean, self.std))
        return np.ascontiguousarray(((planes - mean) / std)[np.newaxis].astype(np.float32))


@dataclass(frozen=True)
class SampleSource:
    """Where samples come from; makes them for any input size.

    Attributes:
        kind: `images`, `arrays` or `noise`.
        origin: What the report says of them.
        images: uint8, (H, W, C) each (kind `images`).
        arrays: float32, one dict of (1, ...) arrays per sample (kind `arrays`).
        preprocessing: How pixels become inputs.
        seed: Of the noise.
    """

    kind: str
    origin: str
    images: tuple[np.ndarray, ...] = ()
    arrays: tuple[Feeds, ...] = ()
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    seed: int = 0

    def make(self, inputs: Sequence[TensorSpec], count: int) -> list[Feeds]:
        """Samples for these inputs, at most `count` of them.

        Raises:
            InputRefusedError: The data does not fit the inputs.
        """
        if self.kind == "images":
            return [self._from_image(image, inputs) for image in self.images[:count]]
        if self.kind == "arrays" and all(self._fits(sample, inputs) for sample in self.arrays):
            return list(self.arrays[:count])
        generator = np.random.default_rng(self.seed)
        return [{spec.name: generator.standard_normal(spec.shape, np.float32) for spec in inputs} for _ in range(count)]

    def _from_image(self, image: np.ndarray, inputs: Sequence[TensorSpec]) -> Feeds:
        if len(inputs) != 1 or len(inputs[0].shape) != 4:  # noqa: PLR2004  N, C, H, W
            raise InputRefusedError(
                "images fit networks with one N x C x H x W input only",
                where=self.origin,
                hint="use a .npz with one array per input",
            )
        _, channels, height, width = inputs[0].shape
        return {inputs[0].name: self.preprocessing(_fit(image, channels, height, width))}

    @staticmethod
    def _fits(sample: Feeds, inputs: Sequence[TensorSpec]) -> bool:
        return {name: array.shape for name, array in sample.items()} == {spec.name: spec.shape for spec in inputs}


def open_samples(
    path: Path | None, inputs: Sequence[TensorSpec], preprocessing: Preprocessing, seed: int = 0
) -> SampleSource:
    """Find out what the user gave as data.

    Args:
        path: A folder of images, a `.npy` (N, H, W[, C] of uint8 pixels, or N, ... of float32 inputs), a `.npz` with
            such an array under `images` or one float32 array per input, or None for noise.
        inputs: What the network takes.
        preprocessing: How pixels become inputs.
        seed: Of the noise.

    Raises:
        UsageError: There is no such path.
        InputRefusedError: Nothing usable is there, or it does not fit the inputs.
    """
    if path is None:
        return SampleSource(
            "noise", f"Gaussian noise, seed {seed}: not the data that the network was made for", seed=seed
        )
    if not path.exists():
        raise UsageError(f"no such file or folder: {path}", where="--images")
    if path.is_dir():
        images = tuple(_read_image(file) for file in sorted(path.iterdir()) if file.suffix.lower() in _IMAGE_SUFFIXES)
        if not images:
            raise InputRefusedError("no image in the folder", where=str(path), hint="PNG, JPEG, BMP, WebP, TIFF or PNM")
        return SampleSource("images", f"{len(images)} images of {path.name}/", images, preprocessing=preprocessing)
    return _from_arrays(_read_arrays(path), path, inputs, preprocessing, seed)


def _from_arrays(
    arrays: dict[str, np.ndarray], path: Path, inputs: Sequence[TensorSpec], preprocessing: Preprocessing, seed: int
) -> SampleSource:
    pixels = arrays.get("images", next(iter(arrays.values())))
    if pixels.dtype == np.uint8 and pixels.ndim in _IMAGE_RANKS and len(pixels):
        images = tuple(image if image.ndim == 3 else image[:, :, np.newaxis] for image in pixels)  # noqa: PLR2004  H, W, C
        return SampleSource("images", f"{len(images)} images of {path.name}", images, preprocessing=preprocessing)
    named = dict(zip([spec.name for spec in inputs], arrays.values(), strict=False)) if len(arrays) == 1 else arrays
    for spec in inputs:
        given = named.get(spec.name)
        if given is None or given.dtype != np.float32 or given.shape[1:] != spec.shape[1:] or not len(given):
            found = "nothing" if given is None else f"{given.dtype} {list(given.shape)}"
            raise InputRefusedError(
                f"input {spec.name!r} wants float32 {['N', *spec.shape[1:]]}, the file has {found}",
                where=str(path),
                hint="uint8 pixels are N x H x W or N x H x W x C; anything else must be the network's float32 input",
            )
        if not np.isfinite(given).all():
            raise InputRefusedError(
                f"input {spec.name!r} holds NaN or infinity", where=str(path), hint="clean the data"
            )
    count = min(len(named[spec.name]) for spec in inputs)
    samples = tuple(
        {spec.name: np.ascontiguousarray(named[spec.name][index : index + 1]) for spec in inputs}
        for index in range(count)
    )
    return SampleSource("arrays", f"{count} samples of {path.name}", arrays=samples, seed=seed)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        content = np.load(path, allow_pickle=False)
        arrays = (
            {"input": content} if isinstance(content, np.ndarray) else {name: content[name] for name in content.files}
        )
    except (ValueError, OSError, EOFError) as error:
        raise InputRefusedError(
            f"not a folder of images, .npy or .npz: {error}", where=str(path), hint="save arrays with numpy.save"
        ) from error
    if not arrays:
        raise InputRefusedError("the archive is empty", where=str(path), hint="save arrays with numpy.savez")
    return arrays


def _read_image(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L" if image.mode in ("1", "L", "I;16") else "RGB")).reshape(
                image.height, image.width, -1
            )
    except (OSError, ValueError) as error:
        raise InputRefusedError(f"not an image: {error}", where=str(path), hint="remove or repair the file") from error


def _fit(image: np.ndarray, channels: int, height: int, width: int) -> np.ndarray:
    """Bring an image to the wanted number of channels and size (bilinear)."""
    from PIL import Image

    modes = {1: "L", 3: "RGB"}
    if channels not in modes:
        raise InputRefusedError(
            f"the network takes {channels} channels, images have 1 or 3", where="--images", hint="use a .npy of inputs"
        )
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).convert(modes[channels])
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(height, width, channels)
