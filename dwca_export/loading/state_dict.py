"""Weights by name, loaded into a network strictly: every name and every shape must agree."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dwca_export.errors import InputRefusedError
from dwca_export.loading.text import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

_WRAPPERS = ("module.", "_orig_mod.")  # DataParallel, DDP and averaged models; torch.compile
_AVERAGING_COUNTER = "n_averaged"  # of torch.optim.swa_utils.AveragedModel
_BATCH_COUNTER = "num_batches_tracked"  # of BatchNorm; unused in evaluation
_LISTED = 10


def load_weights(network: nn.Module, weights: Mapping[str, Any]) -> list[str]:
    """Load a state dict into the network that it was saved from.

    Args:
        network: Gets the weights. Changed in place.
        weights: Tensors by parameter and buffer name.

    Returns:
        Notes on what had to be done to make the names fit.

    Raises:
        InputRefusedError: Names are missing or unexpected, or shapes or kinds of numbers differ.
    """
    expected = network.state_dict()
    weights, notes = _unwrap(weights, expected.keys())
    _check_names(weights.keys(), expected.keys(), notes)
    _check_tensors(weights, expected)
    try:
        network.load_state_dict(weights, strict=False)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise InputRefusedError(f"its weights cannot be loaded into the network ({one_line(error)})") from error
    return notes


def _unwrap(weights: Mapping[str, Any], expected: Iterable[str]) -> tuple[OrderedDict[str, Any], list[str]]:
    """Remove the prefixes that wrappers leave, unless the network itself has them."""
    metadata: dict[str, Any] = dict(getattr(weights, "_metadata", {}))
    result: OrderedDict[str, Any] = OrderedDict(weights)
    wanted, notes, removed = set(expected), [], []
    while result.keys() != wanted:
        rename = _next_rename(result, wanted)
        if rename is None:
            break
        prefix, function = rename
        if _fitting(map(function, result), wanted) < _fitting(result, wanted):
            break  # the network itself has an attribute of that name
        if _AVERAGING_COUNTER in result and _AVERAGING_COUNTER not in wanted:
            del result[_AVERAGING_COUNTER]
            notes.append("averaged weights of torch.optim.swa_utils; its counter left out")
        result = _renamed(result, function)
        metadata = {function(f"{key}.").rstrip("."): value for key, value in metadata.items()}
        removed.append(prefix)
    if removed:
        notes.append("prefixes removed from the weights' names: " + " ".join(removed))
    result._metadata = metadata  # type: ignore[attr-defined] # versions of the layers, where torch keeps them
    return result, notes


def _fitting(names: Iterable[str], wanted: set[str]) -> int:
    return sum(name in wanted for name in names)


def _next_rename(weights: Mapping[str, Any], wanted: set[str]) -> tuple[str, Callable[[str], str]] | None:
    names = [name for name in weights if name != _AVERAGING_COUNTER]
    for prefix in _WRAPPERS:
        if names and all(name.startswith(prefix) for name in names):
            return prefix, lambda name, prefix=prefix: name.removeprefix(prefix)
    inner = "._orig_mod."
    if any(inner in name for name in names) and not any(inner in name for name in wanted):
        return inner[1:], lambda name: name.replace(inner, ".")
    return None


def _renamed(weights: Mapping[str, Any], function: Callable[[str], str]) -> OrderedDict[str, Any]:
    renamed = OrderedDict((function(name), value) for name, value in weights.items())
    if len(renamed) != len(weights):
        raise InputRefusedError("two of its weights have the same name once wrapper prefixes are removed")
    return renamed


def _check_names(given: AbstractSet[str], expected: AbstractSet[str], notes: list[str]) -> None:
    counters = [name for name in expected if name not in given and name.rpartition(".")[2] == _BATCH_COUNTER]
    if counters:
        notes.append(f"{len(counters)} BatchNorm counters ({_BATCH_COUNTER}) are not in the file: not needed")
    missing = [name for name in expected if name not in given and name not in counters]
    unexpected = [name for name in given if name not in expected]
    if missing or unexpected:
        what = "its weights are not those of the network that --arch builds"
        raise InputRefusedError(
            what + _listed("missing in the file", missing) + _listed("in the file, but not in the network", unexpected),
            hint="name the factory and the --arch-args with which it was trained",
        )


def _listed(title: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = "".join(f"\n      {printable(name)}" for name in names[:_LISTED])
    rest = f"\n      ... and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"\n    {len(names)} {title}:{shown}{rest}"


def _check_tensors(weights: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    faults = [
        f"{name}: {fault}"
        for name, value in weights.items()
        if isinstance(expected[name], Tensor) and (fault := _tensor_fault(value, expected[name]))
    ]
    if faults:
        raise InputRefusedError(
            "its weights do not fit the network that --arch builds" + _listed("do not fit", faults),
            hint="--arch-args sets classes, input channels and widths: give those with which it was trained",
        )


def _tensor_fault(given: object, expected: Tensor) -> str:
    if not isinstance(given, Tensor):
        return f"a {type(given).__name__}, not a tensor"
    if given.is_quantized or given.layout != torch.strided:
        return "quantised or sparse, which is not supported"
    if given.is_meta:
        return "without data (saved from the meta device)"
    return "" if torch.nn.parameter.is_lazy(expected) else _mismatch(given, expected)


def _mismatch(given: Tensor, expected: Tensor) -> str:
    # A zero-dimensional tensor saved by torch 0.3 has one dimension; torch loads it, and so do we.
    if given.shape != expected.shape and not (given.shape == (1,) and expected.dim() == 0):
        return f"{tuple(given.shape)} in the file, {tuple(expected.shape)} in the network"
    if given.is_complex() and not expected.is_complex():
        return "complex in the file, real in the network"
    if given.is_floating_point() and not expected.is_floating_point() and not torch.equal(given, given.round()):
        return "fractional in the file, integers in the network"
    return ""
