"""A parity document as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwca_export.report.grid import grid_text
from dwca_export.report.parity_rows import (
    cosine,
    image_table,
    in_part,
    layer_table,
    mode_table,
    module_name,
    tolerance_of,
)
from dwca_export.report.rows import decibels, number
from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def text(document: Mapping[str, Any], *, width: int, all_layers: bool = False) -> str:
    """The report.

    Args:
        document: What `dwca_export.audit.document` describes.
        width: Columns of the terminal.
        all_layers: Whether to show every layer instead of those that add most.
    """
    return "\n".join(_parts(document, width, all_layers)) + "\n"


def one_line_verdict(document: Mapping[str, Any]) -> str:
    """What failed, in a few words; empty if nothing did."""
    fault = document["first_fault"]
    if fault:
        name = module_name(fault)
        place = f"ncnn layer {fault['layer']}{f' ({name})' if name else ''}"
        return (
            f"{fault['precision']} weights, {fault['mode']}: {place} is the first at fault: "
            f"{fault['kind']}, adds {_figures(fault['added'])}"
        )
    faults = [
        f"{one['precision']} weights, {one['mode']}: {fault}" for one in _judged(document) for fault in one["faults"]
    ]
    return faults[0] if faults else ""


def _parts(document: Mapping[str, Any], width: int, all_layers: bool) -> Iterator[str]:
    machine, samples = document["machine"], document["samples"]
    yield visible(
        f"{document['name']}: ncnn {machine['ncnn']} on {machine['processor']}, threads: {document['threads']}, "
        f"{samples['count']} of {samples['origin']}"
    )
    yield grid_text(mode_table(document), width)
    images = document["images"]
    if images:
        reference = images["reference"]
        yield visible(f"{images['origin']}, beside ncnn with {reference['precision']} weights in {reference['mode']}")
        yield grid_text(image_table(images), width)
    yield "Every layer" if all_layers else "Layers that add most for their tolerance"
    yield grid_text(layer_table(document, everything=all_layers), width)
    yield from _remarks(document)
    if document["first_fault"]:
        yield "\n" + _first_fault(document["first_fault"], document)
    yield f"verdict: {document['verdict']}"


def _remarks(document: Mapping[str, Any]) -> Iterator[str]:
    for one in document["modes"]:
        if in_part(one):
            part = f"on this machine all but {one['acted']} of {one['blobs']} blobs are computed as in fp32"
            yield visible(f"passed in part: {one['precision']} weights, {one['mode']}: {part}")
        if one["status"] == "not run":
            yield visible(f"not run: {one['precision']} weights, {one['mode']}: {one['reason']}")
    for one in _judged(document):
        for fault in one["faults"]:
            yield visible(f"failed: {one['precision']} weights, {one['mode']}: {fault}")
    for note in document["notes"]:
        yield visible(f"note: {note}")


def _judged(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*document["modes"], *(document["images"]["modes"] if document["images"] else ())]


def _first_fault(fault: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    limit = tolerance_of(fault, document)
    together = f", with {', '.join(fault['also'])}" if fault["also"] else ""
    lines = (
        f"First fault: {fault['precision']} weights, {fault['mode']}",
        f"  torch module  {module_name(fault) or 'not known'}",
        f"  behind        {', '.join(fault['after']) or 'the input'}",
        f"  ncnn layer    {fault['layer']} ({fault['type']}){together}",
        f"  kind          {fault['kind']}",
        f"  adds          {_figures(fault['added'])}",
        f"  may add       relative L2 {limit['layer_l2']:g}, in a channel {limit['layer_channel_l2']:g}",
        f"  carries       {_figures(fault['carried'])}",
    )
    return "\n".join(map(visible, lines))


def _figures(figures: Mapping[str, Any]) -> str:
    if figures["fault"]:
        return str(figures["fault"])
    exact = figures["max_abs"] == 0
    channel = (
        "" if figures["channel_l2"] is None else f"{figures['channel']} {number(figures['channel_l2'], exact=exact)}"
    )
    parts = (
        f"relative L2 {number(figures['relative_l2'], exact=exact)}",
        channel,
        f"max abs {number(figures['max_abs'], exact=exact)}",
        f"SQNR {decibels(figures) or 'infinite'} dB",
        f"cosine {cosine(figures)}",
    )
    return ", ".join(filter(None, parts))
