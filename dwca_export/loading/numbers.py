"""The numbers of a network: all there, finite, and in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dwca_export.errors import InputRefusedError
from dwca_export.loading.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

_HINT = "the training has diverged, or the file is damaged: use an earlier checkpoint"


def check_numbers(parameters: Iterable[tuple[str, Tensor]], buffers: Iterable[tuple[str, Tensor]]) -> None:
    """Refuse weights that no network can compute with.

    Buffers may hold infinities (attention masks do), but for running statistics.

    Args:
        parameters: By name.
        buffers: By name.

    Raises:
        InputRefusedError: A tensor has no data, is NaN somewhere, or infinite where that is no mask.
    """
    for name, value in parameters:
        _check(name, value, infinite=False)
    for name, value in buffers:
        _check(name, value, infinite="running_" not in name)


def _check(name: str, value: Tensor, *, infinite: bool) -> None:
    if value.is_meta or torch.nn.parameter.is_lazy(value):
        raise InputRefusedError(f"{printable(name)} has no values", hint="save the network after it has been used")
    if not (value.is_floating_point() or value.is_complex()):
        return
    bad = value.isnan() if infinite else ~value.isfinite()
    count = int(bad.sum())
    if count:
        what = "NaN" if bool(value.isnan().any()) else "infinite"
        raise InputRefusedError(f"{printable(name)} is {what} in {count} of {value.numel()} values", hint=_HINT)


def to_float32(network: nn.Module) -> list[str]:
    """Convert all floating-point weights of a network to float32.

    Args:
        network: Changed in place.

    Returns:
        A note for each type that was converted.
    """
    found = {value.dtype for value in (*network.parameters(), *network.buffers()) if value.is_floating_point()}
    other = sorted(str(dtype).removeprefix("torch.") for dtype in found - {torch.float32})
    network.float()
    return [f"{dtype} weights converted to float32" for dtype in other]
