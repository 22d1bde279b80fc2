"""How ncnn converts a blob before a layer reads it: `NetPrivate::convert_layout` of ncnn's `src/net.cpp`.

In that order: 32 bit numbers are cast to 16 bits if the layer can take them, then packed as the layer can take it, then
16 bit numbers are cast to 32 bits if it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwca_export.kernel_paths.case import Blob, Storage
    from dwca_export.kernel_paths.facts.rows import Trait
    from dwca_export.kernel_paths.machine import Options, Target

_FP16_PACK = 8


@dataclass(frozen=True)
class Arrival:
    """A blob as a layer gets it.

    Attributes:
        blob: What the layer reads.
        steps: What ncnn does to it before, such as `cast fp32 to bf16` or `repack 8 to 16`.
        is_misread: The numbers stay in 16 bits although the layer's mask makes it read 32: it computes nonsense, and
            reads and writes beyond the blob.
    """

    blob: Blob
    steps: tuple[str, ...] = ()
    is_misread: bool = False


def arrive(blob: Blob, trait: Trait, options: Options, target: Target) -> Arrival:
    """Convert a blob for a layer.

    Args:
        blob: As its producer left it.
        trait: What the layer can take.
        options: The mode's options less the layer's mask.
        target: The machine.
    """
    wanted = _storage(trait, options, target)
    if blob.storage == "fp32" and wanted != "fp32":
        cast = replace(blob, storage=wanted)
    else:
        cast = replace(blob, storage=blob.storage or wanted)
    packed = replace(cast, elempack=_elempack(cast, trait, options, target))
    # Whether it casts back, ncnn asks the options less the mask.
    keeps_16_bits = options.bf16_storage or (options.fp16_storage and target.asimdhp)
    is_misread = packed.storage != wanted and not keeps_16_bits
    arrived = packed if is_misread else replace(packed, storage=wanted)
    return Arrival(arrived, _steps(blob, arrived), is_misread)


def _storage(trait: Trait, options: Options, target: Target) -> Storage:
    if options.fp16_storage and target.asimdhp and trait.fp16:
        return "fp16"
    return "bf16" if options.bf16_storage and trait.bf16 else "fp32"


def _elempack(blob: Blob, trait: Trait, options: Options, target: Target) -> int | None:
    if not trait.packing:
        return 1
    if trait.any_packing:
        return blob.elempack
    n = blob.shape[0]
    if blob.storage != "fp32" and target.asimdhp and options.fp16_arithmetic and trait.fp16 and n % _FP16_PACK == 0:
        return _FP16_PACK
    return next((pack for pack in target.packs if n % pack == 0), 1)


def _steps(before: Blob, after: Blob) -> tuple[str, ...]:
    steps = []
    if before.storage is None or before.elempack is None:
        return ("not known",)
    if before.storage != after.storage:
        steps.append(f"cast {before.storage} to {after.storage}")
    if before.elempack != after.elempack:
        steps.append(f"repack {before.elempack} to {after.elempack}")
    return tuple(steps)
