"""Names the tensors in whatever a network returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from dwca_export.errors import InputRefusedError


def named_tensors(value: Any, name: str = "") -> list[tuple[str, torch.Tensor]]:
    """The tensors in nested tuples, lists, dicts and dataclasses, with the names that lead to them.

    A tensor alone is `output`, the parts of a tuple are `output_0`, ..., those of a dict have its keys; None is left
    out, as heads that only train return it.

    Raises:
        InputRefusedError: Something else is in there, or nothing at all.
    """
    tensors = _walk(value, name)
    if not tensors:
        raise InputRefusedError(
            "the network returns no tensor", where="prepare", hint="wrap it so that forward returns tensors"
        )
    return tensors


def _walk(value: Any, name: str) -> list[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        return [(name or "output", value)]
    return [pair for key, part in _parts(value, name) for pair in _walk(part, key)]


def _parts(value: Any, name: str) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        named = [(str(key), part) for key, part in value.items()]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    elif hasattr(value, "_fields"):
        named = list(zip(value._fields, value, strict=True))
    elif isinstance(value, (tuple, list)):
        return [(f"{name or 'output'}_{index}", part) for index, part in enumerate(value)]
    else:
        raise InputRefusedError(
            f"the network returns a {type(value).__name__}{f' in {name!r}' if name else ''}, which is no tensor",
            where="prepare",
            hint="return tensors, or tuples, lists, dicts and dataclasses of them",
        )
    return [(f"{name}.{key}" if name else key, part) for key, part in named]
