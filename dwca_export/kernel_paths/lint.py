"""Which kernel every layer of a network takes, by walking the graph as ncnn does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwca_export.errors import ConversionError
from dwca_export.kernel_paths.arrival import Arrival, arrive
from dwca_export.kernel_paths.case import Blob, Case
from dwca_export.kernel_paths.facts import FACTS
from dwca_export.kernel_paths.facts.rows import NOT_KNOWN
from dwca_export.kernel_paths.machine import MODES, TARGETS, mode_named, target_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dwca_export.kernel_paths.facts.rows import Facts, Kernel, Output, Speed, Trait
    from dwca_export.kernel_paths.machine import Options, Target
    from dwca_export.ncnn.param import Layer, Param

_MASK = 31

MISREAD = "none: takes 16 bit numbers for 32 bit ones"


@dataclass(frozen=True)
class KernelPath:
    """What one layer does on one target in one mode.

    Attributes:
        layer: Name of the layer.
        type: Its type.
        module: The torch module that it comes from, empty where the param does not tell.
        target: Name of the target.
        mode: Name of the precision mode.
        kernel: The function or way that ncnn takes, `not known` where its source was not read.
        speed: See `facts.rows.Kernel`; `wrong` where the layer computes nonsense.
        reason: Why.
        source: File of ncnn's `src/layer`.
        remedy: What can be done about it, empty if nothing needs to.
        before: The first input as it leaves its producer.
        read: The first input as the layer gets it.
        written: The outputs.
        conversions: What ncnn does to the inputs before the layer runs, in order: casts and repacking.
        mask: The layer's `31=`.
        unmasked: The kernel without the mask, if it is another one.
        empty_lanes: For kernels that hold one pack in a register: how many of its lanes stay empty.
    """

    layer: str
    type: str
    module: str
    target: str
    mode: str
    kernel: str
    speed: Speed | str
    reason: str
    source: str
    remedy: str
    before: Blob
    read: Blob
    written: tuple[Blob, ...]
    conversions: tuple[str, ...] = ()
    mask: int = 0
    unmasked: str = ""
    empty_lanes: int = 0

    @property
    def packed(self) -> bool | None:
        """Whether the layer reads a packed blob; None: not known."""
        return None if self.read.elempack is None else self.read.elempack > 1

    @property
    def fast(self) -> bool | None:
        """Whether it takes a fast kernel; None: not known."""
        return None if self.speed == "unknown" else self.speed == "fast"


@dataclass(frozen=True)
class _Choice:
    kernel: str
    speed: Speed | str
    reason: str
    source: str
    remedy: str
    written: tuple[Blob, ...]
    empty_lanes: int = 0


def lint(
    param: Param,
    shapes: Mapping[str, Sequence[int]],
    targets: Sequence[str] = tuple(TARGETS),
    modes: Sequence[str] = tuple(MODES),
    facts: Facts = FACTS,
) -> tuple[KernelPath, ...]:
    """Say for every layer which kernel ncnn takes; `Input` layers have none.

    In mode `int8` every convolution and inner product is taken as quantised, the way `ncnn2int8` does without joining
    the scales of neighbours: what a quantised network would do can be seen before one is made.

    Args:
        param: The network.
        shapes: The shape of every blob in C order, without batch axis, as ncnn computes them for the size in question.
        targets: Names of `TARGETS`.
        modes: Names of `MODES`.
        facts: The tables to look in.

    Returns:
        A path for each target, mode and layer, nested in this order.

    Raises:
        UsageError: An unknown target or mode.
        ConversionError: A blob without shape, or parameters that no layer of ncnn has.
    """
    _check(param, shapes)
    sizes = {blob: tuple(shape) for blob, shape in shapes.items()}
    return tuple(
        path
        for target in map(target_named, targets)
        for mode in modes
        for path in _walk(param, sizes, target, mode, facts)
    )


def _check(param: Param, shapes: Mapping[str, Sequence[int]]) -> None:
    missing = [blob for blob in param.blobs if not shapes.get(blob)]
    if missing:
        raise ConversionError(
            f"no shape for blob {missing[0]!r} ({len(missing)} in all)",
            where="kernel paths",
            hint="run the network once and pass the shape of every blob",
        )


def _walk(
    param: Param, shapes: Mapping[str, tuple[int, ...]], target: Target, mode: str, facts: Facts
) -> list[KernelPath]:
    blobs = {blob: Blob(shapes[blob]) for blob in param.inputs}
    paths = []
    for layer in param.layers:
        if layer.type != "Input":
            tops = tuple(shapes[top] for top in layer.tops)
            path = _path(layer, tuple(blobs[bottom] for bottom in layer.bottoms), tops, target, mode, facts)
            blobs.update(zip(layer.tops, path.written, strict=True))
            paths.append(path)
    return paths


def _path(
    layer: Layer, given: tuple[Blob, ...], shapes: tuple[tuple[int, ...], ...], target: Target, mode: str, facts: Facts
) -> KernelPath:
    mask, options = layer.int(_MASK, 0), mode_named(mode)
    arrivals, choice = _take(layer, given, shapes, target, options.masked(mask), facts)
    unmasked = _take(layer, given, shapes, target, options, facts)[1].kernel if mask else ""
    # A constant reads nothing; what it writes stands for what it reads.
    before, read = (given[0], arrivals[0].blob) if given else (choice.written[0],) * 2
    return KernelPath(
        layer=layer.name,
        type=layer.type,
        module=_module(layer),
        target=target.name,
        mode=mode,
        kernel=choice.kernel,
        speed=choice.speed,
        reason=choice.reason,
        source=choice.source,
        remedy=choice.remedy,
        before=before,
        read=read,
        written=choice.written,
        conversions=tuple(step for arrival in arrivals for step in arrival.steps),
        mask=mask,
        unmasked=unmasked if unmasked != choice.kernel else "",
        empty_lanes=choice.empty_lanes,
    )


def _module(layer: Layer) -> str:
    """Bundles name a layer and its blob after the torch module; calls of one module are told apart by `#2`."""
    return layer.name.partition("#")[0] if layer.name in layer.tops else ""


def _take(
    layer: Layer,
    given: tuple[Blob, ...],
    shapes: tuple[tuple[int, ...], ...],
    target: Target,
    options: Options,
    facts: Facts,
) -> tuple[tuple[Arrival, ...], _Choice]:
    raw = Case(layer, given or (Blob(shapes[0]),), shapes, target, options)
    trait = next((row for row in facts.traits if _fits(row, raw)), None)
    output = next((row for row in facts.outputs if row.type == layer.type), None)
    if trait is None or output is None:
        unread = tuple(Arrival(Blob(blob.shape, None, None)) for blob in given)
        return unread, _unknown(shapes, "this layer type was not read")
    arrivals = tuple(arrive(blob, trait, options, target) for blob in given)
    if any(arrival.is_misread for arrival in arrivals) and not trait.any_storage:
        return arrivals, _misread(layer, shapes, trait)
    inputs = tuple(arrival.blob for arrival in arrivals) or raw.inputs
    case = Case(layer, inputs, shapes, target, options)
    return arrivals, _choose(case, output, facts)


def _choose(case: Case, output: Output, facts: Facts) -> _Choice:
    if any(blob.elempack is None or blob.storage is None for blob in case.inputs):
        return _unknown(case.shapes, "the packing of its input is not known")
    row = _first(case, facts)
    if row is None or row.speed == "unknown":
        return _unknown(case.shapes, row.reason if row else "this case was not read", row.source if row else "")
    layouts = output.layout(case)
    words = case.words
    return _Choice(
        kernel=row.kernel.format(**words),
        speed=row.speed,
        reason=row.reason,
        source=row.source.format(**words),
        remedy=row.remedy(case) if row.remedy else "",
        written=tuple(Blob(shape, *layout) for shape, layout in zip(case.shapes, layouts, strict=True)),
        empty_lanes=max(case.widest - (case.pack or 1), 0) if row.in_lanes and row.speed == "fast" else 0,
    )


def _first(case: Case, facts: Facts) -> Kernel | None:
    """The first kernel whose conditions hold, None once a condition that has to be known is not."""
    for row in facts.kernels:
        if row.type == case.layer.type and row.family == case.target.family:
            answers = [condition.holds(case) for condition in row.when]
            if all(answers):
                return row
            if None in answers and all(answer is not False for answer in answers):
                return None
    return None


def _fits(trait: Trait, case: Case) -> bool:
    same = trait.type == case.layer.type and trait.family == case.target.family
    return same and all(condition.holds(case) for condition in trait.when)


def _unknown(shapes: tuple[tuple[int, ...], ...], reason: str, source: str = "") -> _Choice:
    return _Choice(NOT_KNOWN, "unknown", reason, source, "", tuple(Blob(shape, None, None) for shape in shapes))


def _misread(layer: Layer, shapes: tuple[tuple[int, ...], ...], trait: Trait) -> _Choice:
    return _Choice(
        MISREAD,
        "wrong",
        f"31={layer.int(_MASK)} switches 16 bit storage off, but ncnn does not cast what comes in that storage",
        trait.source,
        "no mask 2 or 4 behind layers that leave 16 bit numbers; mask 1 (no fp16 arithmetic) is safe",
        tuple(Blob(shape, None, None) for shape in shapes),
    )
