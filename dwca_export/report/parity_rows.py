"""A parity document's figures as tables of text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dwca_export.report.rows import Table, decibels, number
from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORST_LAYERS = 10
_FIGURES = ("relative L2", "channel L2", "max abs", "SQNR dB", "top-1")


def mode_table(document: Mapping[str, Any]) -> Table:
    """One row per network and mode, with the figures of the output that errs most."""
    rows = [
        (one["precision"], one["mode"], "in part" if in_part(one) else one["status"], *_worst_output(one["outputs"]))
        for one in document["modes"]
    ]
    return Table(("weights", "mode", "verdict", "output", *_FIGURES), _visible(rows), numbers=len(_FIGURES))


def in_part(mode: Mapping[str, Any]) -> bool:
    """Whether a mode passed that this machine hardly has: less than half of the blobs differ from those in fp32."""
    return bool(mode["status"] == "passed" and 2 * mode["acted"] < mode["blobs"])


def layer_table(document: Mapping[str, Any], *, everything: bool = False) -> Table:
    """What layers add and carry.

    Args:
        document: What `dwca_export.audit.document` describes.
        everything: Every layer in every mode, in the order of execution; instead of the layers that add most for their
            tolerance, each in the mode where it adds most.
    """
    layers = document["layers"] if everything else _worst_layers(document)
    head = ("weights", "mode", "torch module", "ncnn layer", "fault", "adds", "SQNR dB", "cosine", "carries")
    return Table(head, _visible([_layer(layer) for layer in layers]), numbers=4)


def image_table(images: Mapping[str, Any]) -> Table:
    """One row per network and mode on the user's data, beside the fp32 network."""
    rows = [
        (one["precision"], one["mode"], one["status"], *_worst_output(one["outputs"]), *_boxes(one["boxes"]))
        for one in images["modes"]
    ]
    head = ("weights", "mode", "verdict", "output", *_FIGURES, "boxes", "least IoU", "score")
    table = Table(head, _visible(rows), numbers=len(_FIGURES) + 3)
    return table if any(one["boxes"] for one in images["modes"]) else _without_last(table, 3)


def tolerance_of(layer: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tolerance that a layer was held to."""
    mode = next(
        one for one in document["modes"] if (one["precision"], one["mode"]) == (layer["precision"], layer["mode"])
    )
    found: Mapping[str, Any] = document["tolerances"][mode["tolerance"]]
    return found


def module_name(layer: Mapping[str, Any]) -> str:
    """The torch module of a layer; "in ..." for the module around it, where its own is not known."""
    return str(layer["module"]) if layer["exact"] or not layer["module"] else f"in {layer['module']}"


def cosine(figures: Mapping[str, Any]) -> str:
    """Rounded down, to six digits."""
    return "" if figures["cosine"] is None else f"{math.floor(figures['cosine'] * 1e6) / 1e6:.6f}"


def _worst_layers(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    worst: dict[str, tuple[float, Mapping[str, Any]]] = {}
    for layer in document["layers"]:
        share = _share(layer, document)
        if layer["blob"] not in worst or share > worst[layer["blob"]][0]:
            worst[layer["blob"]] = share, layer
    return [layer for _, layer in sorted(worst.values(), key=lambda one: one[0], reverse=True)[:WORST_LAYERS]]


def _share(layer: Mapping[str, Any], document: Mapping[str, Any]) -> float:
    """What a layer adds, in terms of what one may add; what is not finite is the most."""
    added, limit = layer["added"], tolerance_of(layer, document)
    if added["relative_l2"] is None:
        return math.inf
    shares = (added["relative_l2"] / limit["layer_l2"], (added["channel_l2"] or 0.0) / limit["layer_channel_l2"])
    return float(max(shares))


def _layer(layer: Mapping[str, Any]) -> tuple[str, ...]:
    added, carried = layer["added"], layer["carried"]
    return (
        layer["precision"],
        layer["mode"],
        module_name(layer),
        layer["layer"],
        layer["kind"] or "",
        number(added["relative_l2"], exact=added["max_abs"] == 0),
        decibels(added),
        cosine(added),
        number(carried["relative_l2"], exact=carried["max_abs"] == 0),
    )


def _worst_output(outputs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    if not outputs:
        return ("",) * (1 + len(_FIGURES))
    worst = max(outputs, key=lambda one: math.inf if one["relative_l2"] is None else one["relative_l2"])
    name = f"{worst['output']} (worst of {len(outputs)})" if len(outputs) > 1 else worst["output"]
    exact = worst["max_abs"] == 0
    return (
        name,
        number(worst["relative_l2"], exact=exact),
        "" if worst["channel_l2"] is None else number(worst["channel_l2"], exact=exact),
        number(worst["max_abs"], exact=exact),
        decibels(worst),
        "" if worst["top1"] is None else f"{math.floor(1000 * worst['top1']) / 10:g} %",
    )


def _boxes(boxes: Mapping[str, Any] | None) -> tuple[str, ...]:
    if boxes is None:
        return ("", "", "")
    overlap = "" if boxes["least_iou"] is None else f"{math.floor(boxes['least_iou'] * 1000) / 1000:.3f}"
    return f"{boxes['agreed']} of {boxes['candidates']}", overlap, f"{boxes['score_difference']:.1e}"


def _without_last(table: Table, count: int) -> Table:
    return Table(table.head[:-count], tuple(row[:-count] for row in table.rows), table.numbers - count)


def _visible(rows: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(map(visible, row)) for row in rows)
