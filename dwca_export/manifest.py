"""What `manifest.json` and `metadata.yaml` say of a bundle."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from dwca_export import bundle
from dwca_export.artifacts import TorchModel
from dwca_export.blocks import find_blocks
from dwca_export.parity.tolerances import TOLERANCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwca_export.artifacts import LoadedModel, NcnnModel
    from dwca_export.conversion import Conversion
    from dwca_export.parity.judge import Comparison
    from dwca_export.parity.measure import Measurement
    from dwca_export.request import ExportRequest
    from dwca_export.samples import Feeds, SampleSource
    from dwca_export.sizes import SizePlan

_TOOLS = ("dwca-export", "torch", "onnx", "onnxruntime", "onnxscript", "onnxsim", "pnnx", "ncnn", "numpy")


@dataclass(frozen=True)
class Facts:
    """All that the manifest is made from.

    Attributes:
        request: What the user asked for.
        loaded: The model file.
        conversion: The hops at the user's input size.
        network: The ncnn network that is shipped.
        source: Where the samples come from.
        samples: The recorded ones.
        comparisons: The proof.
        plan: The sizes.
        changes: Rewrites and passes that were applied, in order.
    """

    request: ExportRequest
    loaded: LoadedModel
    conversion: Conversion
    network: NcnnModel
    source: SampleSource
    samples: Sequence[Feeds]
    comparisons: Sequence[Comparison]
    plan: SizePlan
    changes: Sequence[str]


def describe(facts: Facts) -> dict[str, Any]:
    """The manifest without the hashes of the files. Its schema is documented in docs/bundle.md."""
    request, network = facts.request, facts.network
    blocks = [asdict(block) for block in find_blocks(facts.conversion.onnx[-1][1])]
    return {
        "schema_version": bundle.SCHEMA_VERSION,
        "name": request.model.stem,
        "tools": {tool: version(tool) for tool in _TOOLS},
        "source": {"file": request.model.name, "kind": facts.loaded.kind, "sha256": facts.loaded.sha256},
        "any_size": request.dynamic,
        "inputs": _inputs(facts),
        "outputs": [
            {"name": spec.name, "blob": f"out{index}", "shape": list(spec.shape), "dtype": spec.dtype}
            for index, spec in enumerate(network.outputs)
        ],
        "labels": list(facts.loaded.card.get("labels", [])),
        "blocks": blocks,
        "networks": {
            precision: {"param": bundle.PARAM, "bin": bundle.bin_name(precision)} for precision in request.precisions
        },
        "changes": list(facts.changes),
        "samples": {"kind": facts.source.kind, "origin": facts.source.origin, "count": len(facts.samples)},
        "tolerances": {name: asdict(tolerance) for name, tolerance in TOLERANCES.items()},
        "parity": [_comparison(comparison) for comparison in facts.comparisons],
        "taps": [asdict(tap) for tap in network.tapped],
        "notes": _notes(facts, blocks),
    }


def metadata(manifest: dict[str, Any]) -> dict[str, Any]:
    """What Ultralytics' loader asks of an exported model."""
    sizes = [entry["shape"] for entry in manifest["inputs"]]
    first, image = sizes[0], 4
    height, width = first[2:] if len(first) == image else (first[-1], first[-1])
    smallest = min([shape["shape"][-1] for shape in manifest["outputs"] if len(shape["shape"]) == image] or [1])
    is_classifier = len(manifest["outputs"]) == 1 and len(manifest["outputs"][0]["shape"]) == 2  # noqa: PLR2004
    classes = manifest["outputs"][0]["shape"][1] if is_classifier else 0
    labels = manifest["labels"] or [f"class{index}" for index in range(classes)]
    return {
        "description": f"{manifest['name']}, exported by dwca-export {manifest['tools']['dwca-export']}",
        "version": manifest["tools"]["dwca-export"],
        "stride": max(1, math.ceil(width / smallest)) if not is_classifier else 1,
        "task": "classify" if is_classifier else "detect",
        "batch": 1,
        "imgsz": [height, width],
        "names": dict(enumerate(labels)),
    }


def _inputs(facts: Facts) -> list[dict[str, Any]]:
    preprocessing = facts.source.preprocessing
    known = facts.source.kind == "images" or preprocessing.known
    described = {"scale": 1 / 255, "mean": list(preprocessing.mean), "std": list(preprocessing.std)} if known else None
    return [
        {
            "name": spec.name,
            "blob": f"in{index}",
            "shape": list(spec.shape),
            "dtype": spec.dtype,
            "range": [
                min(float(sample[spec.name].min()) for sample in facts.samples),
                max(float(sample[spec.name].max()) for sample in facts.samples),
            ],
            "preprocessing": described,
        }
        for index, spec in enumerate(facts.network.inputs)
    ]


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "reference": comparison.reference,
        "candidate": comparison.candidate,
        "tolerance": comparison.tolerance,
        "passed": comparison.passed,
        "outputs": [_measurement(measurement) for measurement in comparison.measurements],
    }


def _measurement(measurement: Measurement) -> dict[str, Any]:
    """JSON has no infinity: equal tensors have an SQNR of null."""
    figures = asdict(measurement)
    del figures["fault"]
    figures["shape"] = list(measurement.shape)
    figures["sqnr_db"] = measurement.sqnr_db if math.isfinite(measurement.sqnr_db) else None
    return figures


def _notes(facts: Facts, blocks: Sequence[object]) -> list[str]:
    given = facts.conversion.given
    notes = [*facts.loaded.notes, *(given.notes if isinstance(given, TorchModel) else ())]
    if not blocks:
        notes.append("no coordinate attention was found: exported as any other network")
    if facts.source.kind == "noise":
        notes.append(f"parity was proven on {facts.source.origin}")
    if facts.plan.note:
        notes.append(facts.plan.note)
    if not facts.request.dynamic:
        notes.append("for the recorded input shapes only: at any other size ncnn would compute something else")
    return notes
