"""Checkpoints: a state dict and the factory that `--arch` names, or a whole module."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shlex
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dwca_export.errors import InputRefusedError, UsageError
from dwca_export.loading.architecture import EXAMPLE, build, unwrap
from dwca_export.loading.checkpoint import find_network
from dwca_export.loading.input_shapes import shapes_of_checkpoint
from dwca_export.loading.numbers import check_numbers, to_float32
from dwca_export.loading.source import Source
from dwca_export.loading.state_dict import load_weights
from dwca_export.loading.text import one_line, printable
from dwca_export.loading.unpickle import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwca_export.artifacts import SourceKind
    from dwca_export.loading.checkpoint import Found
    from dwca_export.loading.source import Request

_HALF = {torch.float16, torch.bfloat16}


def read_pickle(request: Request, *, legacy: bool) -> Source:
    """Load what `torch.save` wrote.

    Args:
        request: The file, what it may do, and the factory for a state dict.
        legacy: Whether the file is of the format of before torch 1.6.

    Returns:
        A `torch.nn.Module` in float32.

    Raises:
        UsageError: `--arch` is given for a whole module, or names nothing.
        InputRefusedError: The file or the factory cannot be used.
    """
    return _read(find_network(read_checkpoint(request, legacy=legacy)), request)


def read_safetensors(request: Request) -> Source:
    """Load a `.safetensors` file: a state dict, and nothing that could run.

    Args:
        request: The file, and the factory.

    Returns:
        A `torch.nn.Module` in float32.

    Raises:
        UsageError: `--arch` names nothing.
        InputRefusedError: The file or the factory cannot be used, or the safetensors package is not installed.
    """
    if importlib.util.find_spec("safetensors") is None:
        raise InputRefusedError("this is a safetensors file", hint="to read it: pip install safetensors")
    library = importlib.import_module("safetensors.torch")
    try:
        weights = library.load_file(request.path)
    except Exception as error:  # its own exceptions derive from Exception directly
        raise InputRefusedError(
            f"the file is truncated or damaged ({one_line(error)})", hint="copy or download it again"
        ) from error
    return _read(find_network(weights), request)


def _read(found: Found, request: Request) -> Source:
    if isinstance(found.network, nn.Module):
        if request.arch is not None:
            raise UsageError(
                "the file holds a whole module", where="--arch", hint="leave it out: it is for state dicts"
            )
        kind: SourceKind = "module"
        network = unwrap(found.network)
        notes: list[str] = []
    else:
        kind = "state_dict"
        network, notes = _build(found.network, found.extras, request)
    check_numbers(network.named_parameters(), network.named_buffers())
    notes = [*found.notes, *notes, *to_float32(network)]
    shapes = shapes_of_checkpoint(found.extras, _input_channels(network))
    return Source(network, kind, shapes, "checkpoint" if shapes else "", tuple(notes), describe(found.extras))


def describe(extras: Mapping[str, Any]) -> dict[str, Any]:
    """Take from a checkpoint what a card may say too; whatever else others put under these keys is left alone.

    Args:
        extras: What the checkpoint holds beside the network.

    Returns:
        `labels`, if they are an array of texts, and `detection`, if it names strides and anchors; each may be absent.
    """
    described: dict[str, Any] = {}
    labels, detection = extras.get("labels"), extras.get("detection")
    if isinstance(labels, list | tuple) and labels and all(isinstance(label, str) for label in labels):
        described["labels"] = list(labels)
    if isinstance(detection, dict) and {"strides", "anchors"} <= detection.keys():
        described["detection"] = detection
    return described


def _build(weights: Mapping[str, Any], extras: Mapping[str, Any], request: Request) -> tuple[nn.Module, list[str]]:
    if request.arch is None:
        raise _no_arch(weights, extras, request)
    arguments, notes = _arguments(extras, request)
    network = build(request.arch, arguments)
    notes += load_weights(network, weights)
    halves = {value.dtype for value in weights.values() if isinstance(value, Tensor) and value.dtype in _HALF}
    notes += [f"{str(dtype).removeprefix('torch.')} weights converted to float32" for dtype in sorted(halves, key=str)]
    return network, notes


def _arguments(extras: Mapping[str, Any], request: Request) -> tuple[Mapping[str, Any], list[str]]:
    """Arguments of the factory: the user's, else the checkpoint's."""
    if request.arch_args is not None:
        return request.arch_args, []
    named = extras.get("arch_args")
    if named is None:
        return {}, []
    text = _as_json(named)
    if not isinstance(named, dict) or text is None:
        raise InputRefusedError(
            "the arch_args in it are not plain named values", hint="give --arch-args (--arch-args '{}' for none)"
        )
    return named, [f"--arch-args taken from the checkpoint: {printable(text)}"]


def _as_json(value: object) -> str | None:
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return None


def _no_arch(weights: Mapping[str, Any], extras: Mapping[str, Any], request: Request) -> InputRefusedError:
    words = ["dwca-export", str(request.path), "--arch"]
    arch, arguments = extras.get("arch"), _as_json(extras.get("arch_args"))
    if isinstance(arch, str) and ":" in arch and arch.isprintable():
        words += [arch] if arguments in {None, "null"} else [arch, "--arch-args", str(arguments)]
        hint = f"the checkpoint names one; if you trust that code: {shlex.join(words)}"
    else:
        named = f" (the checkpoint calls it {printable(str(arch))!r})" if arch else ""
        hint = f"--arch names the function or class that builds the network{named}: {EXAMPLE}"
    return InputRefusedError(f"it holds a state dict: {len(weights)} weights by name, but not the network", hint=hint)


def _input_channels(network: nn.Module) -> int:
    convolutions = (layer for layer in network.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d))
    first = next(convolutions, None)
    return first.in_channels if first is not None else 3
