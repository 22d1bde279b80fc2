"""ncnn's per-layer feature mask (`31=`): single layers that compute in fp32 whatever the network's options say.

ncnn hands a layer that the mask excludes from 16-bit storage its input as it is (`convert_layout` in `src/net.cpp`):
what a layer without the mask wrote in 16 bits is read as if it were float32, past its end. So it has to be float32
already. It is behind an `Input`, another layer with the mask, or a `DeepCopy`: that one has no 16-bit form on any CPU,
and ncnn converts for it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, count
from typing import TYPE_CHECKING

from dwca_export.ncnn.param import Layer, Param

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

KEY = 31
NO_FP16_ARITHMETIC = 1
NO_FP16_STORAGE = 2
NO_BF16_STORAGE = 4
STORAGE = (NO_FP16_STORAGE, NO_BF16_STORAGE)

_CONVERTER = "DeepCopy"


def with_masks(param: Param, layers: Collection[str], mask: int) -> Param:
    """Set bits in the mask of some layers, and put what converts to float32 before those that need it.

    A `Split` between two such layers takes the mask as well: it would round the blob.

    Args:
        param: The graph.
        layers: Names of the layers.
        mask: The bits.

    Returns:
        A graph that computes the same in fp32, to the bit.

    Raises:
        ConversionError: A mask that is there already is no integer, or one that `check_masks` refuses.
    """
    changed = [_masked(layer, mask) if layer.name in layers else layer for layer in param.layers]
    for bit in STORAGE:
        if mask & bit:
            changed = _with_splits(changed, bit)
            changed = list(_with_converters(changed, bit))
    result = Param(tuple(changed))
    result.check()
    check_masks(result)
    return result


def check_masks(param: Param) -> None:
    """Refuse a graph in which ncnn would read 16-bit numbers as float32.

    Raises:
        ConversionError: Naming the layer and the blob.
    """
    for bit in STORAGE:
        exact = _exact_blobs(param.layers, bit)
        for layer in param.layers:
            wrong = [blob for blob in layer.bottoms if blob not in exact] if mask_of(layer) & bit else []
            if wrong:
                layer.refuse(
                    f"its mask {KEY}={mask_of(layer)} lets ncnn read blob {wrong[0]} as float32, "
                    "which the layer before it may write in 16 bits"
                )


def mask_of(layer: Layer) -> int:
    """The layer's mask, 0 without one."""
    return layer.int(KEY, 0)


def _masked(layer: Layer, mask: int) -> Layer:
    return layer.with_params({KEY: mask_of(layer) | mask})


def _exact_blobs(layers: Iterable[Layer], bit: int) -> set[str]:
    """Blobs that hold float32 on every CPU although others are kept in 16 bits."""
    exact = (layer for layer in layers if layer.type in ("Input", _CONVERTER) or mask_of(layer) & bit)
    return {blob for layer in exact for blob in layer.tops}


def _with_splits(layers: Sequence[Layer], bit: int) -> list[Layer]:
    """Mask every `Split` that is handed float32 and read by a layer with the mask."""
    exact = _exact_blobs(layers, bit)
    wanted = {blob for layer in layers if mask_of(layer) & bit for blob in layer.bottoms}
    return [
        _masked(layer, bit)
        if layer.type == "Split" and exact.issuperset(layer.bottoms) and wanted.intersection(layer.tops)
        else layer
        for layer in layers
    ]


def _with_converters(layers: Sequence[Layer], bit: int) -> Iterator[Layer]:
    """Put a converter before whatever a layer with the mask would be handed in 16 bits."""
    exact = _exact_blobs(layers, bit)
    taken = {name for layer in layers for name in (layer.name, *layer.tops)}
    for layer in layers:
        inexact = [blob for blob in layer.bottoms if blob not in exact] if mask_of(layer) & bit else []
        names = {blob: _unused(f"{blob}_fp32", taken) for blob in inexact}
        yield from (Layer(_CONVERTER, name, (blob,), (name,)) for blob, name in names.items())
        yield replace(layer, bottoms=tuple(names.get(blob, blob) for blob in layer.bottoms))


def _unused(name: str, taken: set[str]) -> str:
    free = next(one for one in chain([name], (f"{name}#{again}" for again in count(2))) if one not in taken)
    taken.add(free)
    return free
