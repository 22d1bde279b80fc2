"""A check as one JSON document, which every report is made from. Its schema is documented in docs/pages/parity.md."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dwca_export import __version__
from dwca_export.audit.enclosing import Place, places
from dwca_export.audit.ncnn_version import installed
from dwca_export.audit.range_document import describe_ranges
from dwca_export.audit.recorded import load_param
from dwca_export.bundle import COPY_AGAIN, LAYERS
from dwca_export.errors import InputRefusedError
from dwca_export.kernel_paths import to_json
from dwca_export.parity.measure import figures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dwca_export.audit.check import Check
    from dwca_export.audit.layers import LayerCheck
    from dwca_export.audit.user_data import UserData
    from dwca_export.audit.verdict import ModeResult
    from dwca_export.parity.measure import Measurement

SCHEMA_VERSION = 1


def describe(check: Check) -> dict[str, Any]:
    """The document.

    Raises:
        InputRefusedError: The bundle's table of layers cannot be read.
    """
    request, manifest = check.request, check.manifest
    known = {layer.blob: layer.module for result in check.results for layer in result.layers if layer.module}
    around = places(load_param(request.bundle), known)
    layers = [_layer(result, layer, around[layer.blob]) for result in check.results for layer in result.layers]
    used = {result.tolerance for result in check.results if result.status != "not run"}
    return {
        "schema_version": SCHEMA_VERSION,
        "bundle": str(request.bundle.absolute()),
        "name": manifest["name"],
        "verdict": "passed" if check.passed else "failed",
        "first_fault": next((layer for layer in layers if layer["kind"]), None),
        "machine": {"processor": platform.machine(), "ncnn": installed(), "dwca-export": __version__},
        "threads": request.threads,
        "samples": manifest["samples"],
        "tolerances": {name: asdict(request.tolerances[name]) for name in sorted(used)},
        "modes": [_mode(result) for result in check.results],
        "hops": {"outputs": manifest["parity"], "values": _values(request.bundle, manifest)},
        "layers": layers,
        "images": _user_data(check.user_data) if check.user_data else None,
        "ranges": describe_ranges(check.ranges) if check.ranges else None,
        "paths": to_json(check.paths) if check.paths is not None else None,
        "notes": list(check.notes),
    }


def _mode(result: ModeResult) -> dict[str, Any]:
    comparison = result.comparison
    return {
        "precision": result.precision,
        "mode": result.mode,
        "status": result.status,
        "reason": result.reason,
        "tolerance": result.tolerance,
        "acted": result.acted,
        "blobs": result.blobs,
        "faults": [*(comparison.faults if comparison else ()), *_layer_faults(result)],
        "outputs": [_figures(one) for one in comparison.measurements] if comparison else [],
    }


def _layer_faults(result: ModeResult) -> list[str]:
    wrong = [layer for layer in result.layers if layer.kind]
    count = "1 layer adds" if len(wrong) == 1 else f"{len(wrong)} layers add"
    return [f"{count} more than one may, first {wrong[0].layer} ({wrong[0].kind})"] if wrong else []


def _layer(result: ModeResult, layer: LayerCheck, place: Place) -> dict[str, Any]:
    return {
        "precision": result.precision,
        "mode": result.mode,
        "module": layer.module or place.module,
        "exact": bool(layer.module),
        "after": list(place.after),
        "layer": layer.layer,
        "type": layer.type,
        "blob": layer.blob,
        "also": list(layer.also),
        "kind": layer.kind,
        "added": _figures(layer.added),
        "carried": _figures(layer.carried),
        "statistics": asdict(layer.statistics) if layer.statistics else None,
    }


def _figures(measurement: Measurement) -> dict[str, Any]:
    return {**figures(measurement), "fault": measurement.fault}


def _user_data(data: UserData) -> dict[str, Any]:
    return {
        "origin": data.origin,
        "count": data.count,
        "reference": {"precision": data.reference, "mode": "fp32"},
        "modes": [
            {
                "precision": one.precision,
                "mode": one.mode,
                "status": "failed" if one.faults else "passed",
                "faults": list(one.faults),
                "outputs": [_figures(measurement) for measurement in one.measurements],
                "boxes": asdict(one.boxes) if one.boxes else None,
            }
            for one in data.agreements
        ],
    }


def _values(folder: Path, manifest: Mapping[str, Any]) -> list[Any]:
    """The table of torch module, ONNX value and ncnn blob that the export wrote; none in bundles without it."""
    if LAYERS not in manifest["files"]:
        return []
    path = folder / LAYERS
    try:
        values = json.loads(path.read_text(encoding="utf-8"))["values"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputRefusedError(f"no readable table of layers: {error}", where=str(path), hint=COPY_AGAIN) from error
    return list(values)
