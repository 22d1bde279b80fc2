"""What is to be measured: the network of a bundle with its recorded inputs, or any param/bin with random ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.audit.integrity import open_whole_bundle
from dwca_export.audit.ncnn_version import check_ncnn, require_known_layers
from dwca_export.audit.recorded import load_param, load_recorded
from dwca_export.bundle import MANIFEST
from dwca_export.errors import ConversionError, InputRefusedError, UsageError
from dwca_export.ncnn.param import Param
from dwca_export.shapes import shapes_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dwca_export.ncnn.param import Layer

Blobs = dict[str, np.ndarray]

_MOST_NUMBERS = 1 << 28  # 1 GiB of float32: ncnn would make copies of it
_SEED = 0
_IMAGE_RANK = 4  # N, C, H, W


@dataclass(frozen=True)
class Target:
    """A network with something to run it on.

    Attributes:
        name: What it is called in reports.
        param: Its graph.
        param_file: The file that holds it.
        bins: Weight files by precision, most exact first.
        samples: Inputs by blob: float32, without batch axis.
        expected: The original network's outputs by blob for each sample; empty where nobody knows them.
        origin: What the inputs are.
        modules: The torch module that each blob is of, as far as a bundle tells.
        notes: What the user should know.
    """

    name: str
    param: Param
    param_file: Path
    bins: Mapping[str, Path]
    samples: tuple[Blobs, ...] = field(repr=False)
    expected: tuple[Blobs, ...] = field(repr=False)
    origin: str
    modules: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the inputs, with batch axis."""
        return tuple((1, *array.shape) for array in self.samples[0].values())

    def describe(self) -> dict[str, Any]:
        """The target as a JSON object."""
        return {
            "name": self.name,
            "shapes": [list(shape) for shape in self.shapes],
            "inputs": self.origin,
            "samples": len(self.samples),
            "layers": len(self.param.layers),
        }


def open_target(path: Path, shapes: Sequence[tuple[int, ...]] = ()) -> Target:
    """Open what the user names.

    Args:
        path: A bundle, or a `.param` with its `.bin` beside it.
        shapes: Shapes of the inputs, with batch axis, in order; by default those of the bundle, or of the param.

    Raises:
        UsageError: Shapes that are no shapes of this network's inputs, or that are needed.
        InputRefusedError: There is no such file, or no whole bundle.
        ConversionError: No param, or one with layers that this ncnn does not have.
    """
    for shape in shapes:
        _check_shape(shape)
    if not path.exists():
        raise InputRefusedError("there is no such file or folder", where=str(path), hint=_GIVE)
    if path.is_dir():
        return _open_folder(path, shapes)
    return _open_param(path, shapes)


_GIVE = "give a folder that dwca-export wrote, or a .param with its .bin beside it"


def _open_folder(folder: Path, shapes: Sequence[tuple[int, ...]]) -> Target:
    if not (folder / MANIFEST).exists():
        params = sorted(folder.glob("*.param"))
        if len(params) == 1:
            return _open_param(params[0], shapes)
        raise InputRefusedError(f"no bundle: there is no {MANIFEST}", where=str(folder), hint=_GIVE)
    manifest, notes = open_whole_bundle(folder)
    param = load_param(folder)
    require_known_layers(param, str(folder))
    notes = (*notes, *check_ncnn(manifest, allow_older=True))
    networks = manifest["networks"]
    bins = {precision: folder / network["bin"] for precision, network in networks.items()}
    file = folder / next(iter(networks.values()))["param"]
    known = [tuple(entry["shape"]) for entry in manifest["inputs"]]
    if shapes and list(shapes) != known:
        _check_sizes(shapes, known, manifest)
        samples, origin = _noise([entry["blob"] for entry in manifest["inputs"]], shapes), _NOISE
        return Target(manifest["name"], param, file, bins, samples, (), origin, notes=notes)
    recorded = load_recorded(folder, manifest)
    samples, expected = (
        tuple({entry["blob"]: one[entry["name"]][0] for entry in manifest[key]} for one in tensors)
        for key, tensors in (("inputs", recorded.samples), ("outputs", recorded.outputs))
    )
    origin = manifest["samples"]["origin"]
    return Target(manifest["name"], param, file, bins, samples, expected, origin, recorded.modules, notes)


_NOISE = "seeded noise"


def _open_param(path: Path, shapes: Sequence[tuple[int, ...]]) -> Target:
    if path.suffix != ".param":
        raise InputRefusedError("this is neither a bundle nor a .param", where=str(path), hint=_GIVE)
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise InputRefusedError(f"its weights are missing: there is no {weights.name}", where=str(path), hint=_GIVE)
    try:
        param = Param.parse(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConversionError(
            "no text param", where=str(path), hint="convert a binary one back, or export again"
        ) from error
    except ConversionError as error:
        raise ConversionError(error.what, where=f"{path}, {error.where}", hint=error.hint or _GIVE) from error
    require_known_layers(param, str(path))
    inputs = [layer for layer in param.layers if layer.type == "Input"]
    shapes = shapes or [_shape_of(layer, path) for layer in inputs]
    if len(shapes) != len(inputs):
        what = f"{len(shapes)} shapes for {len(inputs)} inputs"
        raise UsageError(what, where="--shape", hint="name one shape per input, in the order of the param")
    samples = _noise([layer.tops[0] for layer in inputs], shapes)
    return Target(path.stem.removesuffix(".ncnn"), param, path, {"fp32": weights}, samples, (), _NOISE)


def _shape_of(layer: Layer, path: Path) -> tuple[int, ...]:
    """What an `Input` says of its shape: width, height, depth, channels under 0, 1, 11, 2; 0 where it says nothing."""
    sizes = tuple(layer.int(key, 0) for key in (2, 11, 1, 0))
    shape = (1, *(size for size in sizes if size))
    if len(shape) == 1:
        what = f"the param does not tell the shape of its input {layer.tops[0]}"
        raise UsageError(what, where=str(path), hint="give it with --shape, as in --shape 1x3x224x224")
    _check_shape(shape)
    return shape


def _check_shape(shape: tuple[int, ...]) -> None:
    text = shapes_text([shape])
    if shape[0] != 1:
        what = f"{text} has a batch of {shape[0]}, ncnn runs one at a time"
        raise UsageError(what, where="--shape", hint="write the batch of 1 first: 1x3x224x224")
    if prod(shape) > _MOST_NUMBERS or min(shape) < 1:
        raise UsageError(f"{text} has no element, or more than 2**28", where="--shape", hint="give a smaller one")


def _check_sizes(shapes: Sequence[tuple[int, ...]], known: list[tuple[int, ...]], manifest: Mapping[str, Any]) -> None:
    """Hold shapes to those that a bundle was made and proven for."""
    step = manifest["size_step"] or 1
    fits = (
        manifest["any_size"]
        and len(shapes) == len(known)
        and all(
            len(shape) == len(one)
            and shape[:2] == one[:2]
            and (shape == one or len(one) == _IMAGE_RANK)
            and not any((new - old) % step for new, old in zip(shape[2:], one[2:], strict=True))
            for shape, one in zip(shapes, known, strict=True)
        )
    )
    if not fits:
        sizes = f"any height and width in steps of {step} from" if manifest["any_size"] else "no other shape than"
        what = f"the bundle was made for {sizes} {shapes_text(known)}"
        raise UsageError(what, where="--shape", hint="leave --shape out, or export again with --shape or --dynamic")


def _noise(blobs: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> tuple[Blobs, ...]:
    generator = np.random.default_rng(_SEED)
    return (
        {blob: generator.standard_normal(shape[1:], np.float32) for blob, shape in zip(blobs, shapes, strict=True)},
    )
