"""The data that parity is proven on: the user's images or arrays, or seeded noise."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.errors import InputRefusedError, UsageError
from dwca_export.images import MAX_CHANNELS, SUFFIXES, fit_image, read_image
from dwca_export.loading.text import one_line, printable

if TYPE_CHECKING:
    from pathlib import Path

    from dwca_export.artifacts import TensorSpec

Feeds = dict[str, np.ndarray]

_HWC = 3
_IMAGE_RANKS = (3, 4)  # N, H, W and N, H, W, C
_MAGICS = (b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06")  # .npy, .npz, an empty .npz


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
        """Read `input.mean` and `input.std` of a card; the defaults where it has neither.

        Raises:
            InputRefusedError: It has one of them only, they are no numbers, or they are not of pixels in [0, 1].
        """
        described = card.get("input")
        if not isinstance(described, Mapping) or not {"mean", "std"} & described.keys():
            return cls()
        mean, std = _numbers(described.get("mean")), _numbers(described.get("std"))
        if not mean or not std or 0 in std:
            raise _bad_card(f"input.mean {described.get('mean')!r} and input.std {described.get('std')!r}")
        if "range" in described and _numbers(described["range"]) != (0, 1):
            raise _bad_card(f"input.range {described['range']!r}")
        return cls(mean, std, known=True)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Convert one image.

        Args:
            pixels: uint8, (H, W, C).

        Returns:
            float32, (1, C, H, W).

        Raises:
            InputRefusedError: Mean or std are for another number of channels.
        """
        planes = pixels.astype(np.float32).transpose(2, 0, 1) / np.float32(255)
        for values in (self.mean, self.std):
            if len(values) not in (1, len(planes)):
                raise InputRefusedError(
                    f"the card has mean or std of {len(values)} channels, the network takes {len(planes)}",
                    where="card",
                    hint="one number for each channel, or one for all",
                )
        mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (self.mean, self.std))
        return np.ascontiguousarray(((planes - mean) / std)[np.newaxis].astype(np.float32))


def _numbers(value: object) -> tuple[float, ...]:
    """One or several finite numbers, none where it is something else."""
    values = value if isinstance(value, list | tuple) else (value,)
    good = all(isinstance(one, int | float) and math.isfinite(one) for one in values)
    return tuple(map(float, values)) if good else ()


def _bad_card(what: str) -> InputRefusedError:
    return InputRefusedError(
        f"{what} cannot be used", where="card", hint="give mean and std of pixels that were divided by 255"
    )


@dataclass(frozen=True)
class SampleSource:
    """Where samples come from; makes them for any input size.

    Attributes:
        kind: `images`, `arrays` or `noise`.
        origin: What the report says of them.
        images: uint8, (H, W, C) each (kind `images`).
        files: The same as files, which are read as they are needed.
        arrays: float32, one dict of (1, ...) arrays per sample (kind `arrays`).
        preprocessing: How pixels become inputs.
        seed: Of the noise.
    """

    kind: str
    origin: str
    images: tuple[np.ndarray, ...] = ()
    files: tuple[Path, ...] = ()
    arrays: tuple[Feeds, ...] = ()
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    seed: int = 0

    def make(self, inputs: Sequence[TensorSpec], count: int) -> list[Feeds]:
        """Samples for these inputs, at most `count` of them, of what `at` returns.

        Raises:
            InputRefusedError: An image cannot be read, or images do not fit the inputs.
        """
        if self.kind == "images":
            images = self.images[:count] or [read_image(file) for file in self.files[:count]]
            return [self._from_image(image, inputs) for image in images]
        source = self.at(inputs)
        if source.kind == "arrays":
            return list(source.arrays[:count])
        generator = np.random.default_rng(source.seed)
        return [{spec.name: generator.standard_normal(spec.shape, np.float32) for spec in inputs} for _ in range(count)]

    def at(self, inputs: Sequence[TensorSpec]) -> SampleSource:
        """What the samples for these inputs come from: arrays have one size, and noise takes their place at others."""
        wanted = {spec.name: spec.shape for spec in inputs}
        arrays = ({name: array.shape for name, array in sample.items()} for sample in self.arrays)
        return self if all(shapes == wanted for shapes in arrays) else _noise(self.seed)

    def _from_image(self, image: np.ndarray, inputs: Sequence[TensorSpec]) -> Feeds:
        if len(inputs) != 1 or len(inputs[0].shape) != 4:  # noqa: PLR2004  N, C, H, W
            raise InputRefusedError(
                "images fit networks with one N x C x H x W input only",
                where=self.origin,
                hint="use a .npz with one array per input",
            )
        _, channels, height, width = inputs[0].shape
        return {inputs[0].name: self.preprocessing(fit_image(image, channels, height, width))}


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
        return _noise(seed)
    if not path.exists():
        raise UsageError(f"no such file or folder: {path}", where="--images")
    if path.is_dir():
        return _from_folder(path, preprocessing)
    return _from_arrays(_read_arrays(path), path, inputs, preprocessing, seed)


def read_pixels(path: Path) -> tuple[np.ndarray, ...]:
    """Read the images in a `.npy` (N, H, W[, C] of uint8 pixels) or a `.npz` with such an array under `images`.

    Returns:
        uint8, (H, W, C) each.

    Raises:
        InputRefusedError: The file is damaged, or holds something else.
    """
    pixels = _find_pixels(_read_arrays(path))
    if pixels is None:
        raise InputRefusedError(
            "it does not hold uint8 pixels, N x H x W or N x H x W x C",
            where=str(path),
            hint="in a .npz of several arrays, the pixels are called `images`",
        )
    return _images(pixels, path)


def _noise(seed: int) -> SampleSource:
    origin = f"Gaussian noise, seed {seed}: not the data that the network was made for"
    return SampleSource("noise", origin, seed=seed)


def _from_folder(path: Path, preprocessing: Preprocessing) -> SampleSource:
    try:
        files = tuple(file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES and file.is_file())
    except OSError as error:
        raise InputRefusedError(f"cannot be listed: {error.strerror}", where=str(path)) from error
    if not files:
        raise InputRefusedError("no image in the folder", where=str(path), hint="PNG, JPEG, BMP, WebP, TIFF or PNM")
    return SampleSource(
        "images", f"{len(files)} images of {printable(path.name)}/", files=files, preprocessing=preprocessing
    )


def _from_arrays(
    arrays: dict[str, np.ndarray], path: Path, inputs: Sequence[TensorSpec], preprocessing: Preprocessing, seed: int
) -> SampleSource:
    pixels = _find_pixels(arrays)
    if pixels is not None:
        images = _images(pixels, path)
        return SampleSource(
            "images", f"{len(images)} images of {printable(path.name)}", images, preprocessing=preprocessing
        )
    named = {inputs[0].name: next(iter(arrays.values()))} if len(arrays) == 1 else arrays
    for spec in inputs:
        _check_array(spec, named.get(spec.name), path)
    counts = {len(named[spec.name]) for spec in inputs}
    if len(counts) != 1:
        raise InputRefusedError(
            f"the inputs have {sorted(counts)} samples", where=str(path), hint="give as many of each"
        )
    samples = tuple(
        {spec.name: np.ascontiguousarray(named[spec.name][index : index + 1]) for spec in inputs}
        for index in range(counts.pop())
    )
    return SampleSource("arrays", f"{len(samples)} samples of {printable(path.name)}", arrays=samples, seed=seed)


def _find_pixels(arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    """The array of 8-bit images: the only one, or the one called `images`; None where there is none."""
    sole = next(iter(arrays.values())) if len(arrays) == 1 else None
    pixels = arrays.get("images", sole)
    return pixels if pixels is not None and pixels.dtype == np.uint8 and pixels.ndim in _IMAGE_RANKS else None


def _images(pixels: np.ndarray, path: Path) -> tuple[np.ndarray, ...]:
    channels = pixels.shape[3] if pixels.ndim > _HWC else 1
    if not pixels.size or channels > MAX_CHANNELS:
        raise InputRefusedError(
            f"uint8 {list(pixels.shape)} is not N x H x W or N x H x W x C with 1 to {MAX_CHANNELS} channels",
            where=str(path),
            hint="put the channels last",
        )
    return tuple(image.reshape(*image.shape[:2], channels) for image in pixels)


def _check_array(spec: TensorSpec, given: np.ndarray | None, path: Path) -> None:
    if given is None or given.dtype != np.float32 or given.shape[1:] != spec.shape[1:] or not given.size:
        found = "nothing" if given is None else f"{given.dtype} {list(given.shape)}"
        raise InputRefusedError(
            f"input {spec.name!r} wants float32 {['N', *spec.shape[1:]]}, the file has {found}",
            where=str(path),
            hint="uint8 pixels are N x H x W or N x H x W x C; anything else must be the network's float32 input",
        )
    if not np.isfinite(given).all():
        raise InputRefusedError(f"input {spec.name!r} holds NaN or infinity", where=str(path), hint="clean the data")


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    hint = "save arrays with numpy.save or numpy.savez"
    try:
        with path.open("rb") as file:
            if not file.read(max(map(len, _MAGICS))).startswith(_MAGICS):
                raise InputRefusedError("neither a folder of images nor .npy nor .npz", where=str(path), hint=hint)
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"input": content}
        with content:
            arrays = {name: content[name] for name in content.files}
    # What numpy and zipfile raise on damaged, pickled, encrypted and endless content.
    except (ValueError, OSError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputRefusedError(f"the arrays cannot be read: {one_line(error)}", where=str(path), hint=hint) from error
    if not arrays:
        raise InputRefusedError("the archive is empty", where=str(path), hint=hint)
    return arrays
