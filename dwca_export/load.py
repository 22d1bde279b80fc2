"""The load hop: from a model file to the network in it, without running anything that the user did not allow.

Readers, one per kind of file, are in `dwca_export.loading`. They are imported when their kind turns up: importing this
module imports neither torch nor onnx.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from dwca_export.artifacts import LoadedModel
from dwca_export.errors import DwcaExportError, InputRefusedError, UsageError
from dwca_export.loading.card import read_card
from dwca_export.loading.input_shapes import shapes_of_card
from dwca_export.loading.sniff import sniff
from dwca_export.loading.source import Request
from dwca_export.loading.text import printable
from dwca_export.paths import path_fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dwca_export.loading.sniff import FileKind
    from dwca_export.loading.source import Source


def load(
    path: Path,
    *,
    arch: str | None = None,
    arch_args: Mapping[str, Any] | None = None,
    trust: Sequence[str] = (),
    trust_all: bool = False,
) -> LoadedModel:
    """Load a model file, whose kind is found by its content.

    Nothing in the file runs, unless it is trusted: `dwca_export.loading.trust` has the rules for pickles,
    `pt2_audit` those for exported programs, `torchscript` those for TorchScript.

    Args:
        path: State dict or checkpoint, pickled module, TorchScript, `.pt2`, `.onnx` or `.safetensors`.
        arch: Factory of the network for a state dict: `file.py:factory` or `package.module:factory`.
        arch_args: Its keyword arguments; those of the checkpoint where None.
        trust: Packages whose classes the file's pickle may use.
        trust_all: Lets the file run any code; overrides `trust`.

    Returns:
        The network, as `LoadedModel` describes; weights on the CPU. Not in evaluation mode: `prepare` sees to that.

    Raises:
        UsageError: `arch`, `arch_args` or `trust` cannot be obeyed.
        InputRefusedError: The file, its card or its weights cannot be used, or it asks for more than is allowed.
    """
    if arch_args is not None and arch is None:
        raise UsageError("it needs --arch", where="--arch-args", hint="name the factory that takes these arguments")
    check_path(path)
    _check_packages(trust)
    request = Request(path, arch, arch_args, tuple(trust), trust_all)
    try:
        return _load(request)
    except DwcaExportError as error:
        error.where = error.where or f"load: {printable(str(path))}"
        raise


def check_path(path: Path) -> None:
    """Refuse a path that the readers do not take; whether there is a file is for `load` to find out.

    Raises:
        InputRefusedError: It is not UTF-8.
    """
    if fault := path_fault(path):
        hint = "rename the file, or the folder that it is in"
        raise InputRefusedError(fault, where=f"load: {printable(str(path))}", hint=hint)


def _check_packages(trust: Sequence[str]) -> None:
    for package in trust:
        if not all(part.isidentifier() for part in package.split(".")):
            raise UsageError(
                f"{package!r} is not a package name", where="--trust", hint="name a package or class: --trust torch.nn"
            )


def _load(request: Request) -> LoadedModel:
    kind = sniff(request.path)
    sha256 = _sha256(request.path)
    card = read_card(request.path, sha256)
    source = _read(kind, request)
    carded = shapes_of_card(card)
    return LoadedModel(
        model=source.model,
        kind=source.kind,
        sha256=sha256,
        shapes=carded or source.shapes,
        shapes_from="card" if carded else source.shapes_from,
        card={**source.described, **card},
        notes=source.notes,
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise InputRefusedError(f"the file cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def _read(kind: FileKind, request: Request) -> Source:
    if kind in {"pickle", "legacy_pickle", "safetensors"}:
        return _read_weights(kind, request)
    if request.arch is not None:
        raise UsageError(f"the file holds a whole network ({kind})", where="--arch", hint="leave --arch out")
    if kind == "onnx":
        from dwca_export.loading.onnx_file import read_onnx

        return read_onnx(request)
    if kind == "pt2":
        from dwca_export.loading.pt2 import read_pt2

        return read_pt2(request)
    from dwca_export.loading.torchscript import read_torchscript

    return read_torchscript(request)


def _read_weights(kind: FileKind, request: Request) -> Source:
    from dwca_export.loading import torch_checkpoint

    if kind == "safetensors":
        return torch_checkpoint.read_safetensors(request)
    return torch_checkpoint.read_pickle(request, legacy=kind == "legacy_pickle")
