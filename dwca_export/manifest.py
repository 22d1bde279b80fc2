"""What `manifest.json` and `metadata.yaml` say of a bundle."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any

from dwca_export import bundle
from dwca_export.artifacts import TorchModel
from dwca_export.blocks import find_blocks
from dwca_export.detect.spec import DetectorSpec
from dwca_export.errors import InputRefusedError
from dwca_export.parity.contrast import caveats
from dwca_export.parity.measure import figures
from dwca_export.parity.tolerances import TOLERANCES
from dwca_export.report.visible import visible
from dwca_export.shapes import shapes_text
from dwca_export.sizes import PROOF_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwca_export.artifacts import LoadedModel, NcnnModel
    from dwca_export.conversion import Conversion
    from dwca_export.parity.contrast import Contrast
    from dwca_export.parity.judge import Comparison
    from dwca_export.request import ExportRequest
    from dwca_export.samples import Feeds, SampleSource
    from dwca_export.sizes import SizePlan

_SCORES_RANK = 2  # N, classes
_BOXES_RANK = 3  # N, values, candidates
_IMAGE_RANK = 4  # N, C, H, W
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
        contrasts: How much the outputs change between the samples.
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
    contrasts: Sequence[Contrast]
    plan: SizePlan
    changes: Sequence[str]


def describe(facts: Facts) -> dict[str, Any]:
    """The manifest without the hashes of the files. Its schema is documented in docs/pages/bundle.md.

    Raises:
        InputRefusedError: What the card says of a detector does not fit the network.
    """
    request, network = facts.request, facts.network
    blocks = [asdict(block) for block in find_blocks(facts.conversion.onnx[-1][1])]
    return {
        "schema_version": bundle.SCHEMA_VERSION,
        "name": visible(request.model.stem),
        "tools": {tool: _version(tool) for tool in _TOOLS},
        "source": {"file": visible(request.model.name), "kind": facts.loaded.kind, "sha256": facts.loaded.sha256},
        "any_size": request.dynamic,
        "size_step": facts.plan.step if request.dynamic else 0,
        "inputs": _inputs(facts),
        "outputs": [
            {"name": spec.name, "blob": f"out{index}", "shape": list(spec.shape), "dtype": spec.dtype}
            for index, spec in enumerate(network.outputs)
        ],
        "labels": _labels(facts),
        "detection": _detection(facts),
        "blocks": blocks,
        "networks": {
            precision: {"param": bundle.PARAM, "bin": name}
            for precision, name in bundle.bin_names(request.precisions).items()
        },
        "changes": list(facts.changes),
        "samples": _samples(facts.source, len(facts.samples)),
        "proven": _proven(facts),
        "tolerances": {name: asdict(tolerance) for name, tolerance in TOLERANCES.items()},
        "parity": [_comparison(comparison) for comparison in facts.comparisons],
        "contrasts": [asdict(contrast) for contrast in facts.contrasts],
        "taps": [asdict(tap) for tap in network.tapped],
        "notes": _notes(facts, blocks),
    }


def metadata(manifest: dict[str, Any]) -> dict[str, Any]:
    """What Ultralytics' loader asks of an exported model.

    It knows vision tasks only, so what is no classifier is called a detector.
    """
    shapes = [entry["shape"] for entry in manifest["inputs"]]
    image = next((shape for shape in shapes if len(shape) == _IMAGE_RANK), None)
    channels, height, width = image[1:] if image else (1, shapes[0][-1], shapes[0][-1])
    outputs = [entry["shape"] for entry in manifest["outputs"]]
    labels = manifest["labels"] or [f"class{index}" for index in range(_classes(outputs))]
    return {
        "description": f"{manifest['name']}, exported by dwca-export {manifest['tools']['dwca-export']}",
        "version": manifest["tools"]["dwca-export"],
        "stride": _stride(outputs, height, width),
        "task": "classify" if _is_classifier(outputs) else "detect",
        "batch": 1,
        "imgsz": [height, width],
        "channels": channels,
        "names": dict(enumerate(labels)),
    }


def _is_classifier(outputs: Sequence[Sequence[int]]) -> bool:
    return len(outputs) == 1 and len(outputs[0]) == _SCORES_RANK


def _classes(outputs: Sequence[Sequence[int]]) -> int:
    """How many classes the outputs tell; the loader needs one name at least."""
    if _is_classifier(outputs):
        return outputs[0][1]
    # Ultralytics' detectors: 4 numbers of the box, then the classes, for every candidate.
    return max(1, outputs[0][1] - 4) if len(outputs) == 1 and len(outputs[0]) == _BOXES_RANK else 1


def _stride(outputs: Sequence[Sequence[int]], height: int, width: int) -> int:
    """Step that the loader rounds image sizes to: it must not round away the size that the network was made for."""
    maps = [shape[2:] for shape in outputs if len(shape) == _IMAGE_RANK]
    coarsest = max((math.ceil(max(height / h, width / w)) for h, w in maps), default=1)
    return math.gcd(coarsest, height, width)


def _version(tool: str) -> str:
    """The installed version; the distribution may have another name than the package (onnxruntime-gpu)."""
    try:
        return version_of(tool)
    except PackageNotFoundError:
        return str(getattr(import_module(tool.replace("-", "_")), "__version__", "unknown"))


def _samples(source: SampleSource, count: int) -> dict[str, Any]:
    return {"kind": source.kind, "origin": source.origin, "count": count}


def _proven(facts: Facts) -> list[dict[str, Any]]:
    """Every size with the data that parity was proven on."""
    inputs = facts.network.inputs
    recorded = {"shapes": [list(spec.shape) for spec in inputs], "samples": _samples(facts.source, len(facts.samples))}
    others = []
    for shapes in facts.plan.proof:
        specs = [replace(spec, shape=shape) for spec, shape in zip(inputs, shapes, strict=True)]
        samples = _samples(facts.source.at(specs), PROOF_SAMPLES)
        others.append({"shapes": [list(shape) for shape in shapes], "samples": samples})
    return [recorded, *others]


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


def _labels(facts: Facts) -> list[str]:
    """The class names of the card; none if they are not one for each output of a classifier."""
    labels = facts.loaded.card.get("labels", [])
    outputs = [spec.shape for spec in facts.network.outputs]
    named = isinstance(labels, list) and (not _is_classifier(outputs) or len(labels) == outputs[0][1])
    return [str(label) for label in labels] if named else []


def _detection(facts: Facts) -> dict[str, Any] | None:
    """How the outputs hold boxes, as the card says and the network bears out; None where the card does not say."""
    document = facts.loaded.card.get("detection")
    if document is None:
        return None
    spec = DetectorSpec.from_document(document)
    shapes = [given.shape for given in facts.network.inputs]
    if len(shapes) != 1 or len(shapes[0]) != _IMAGE_RANK:
        raise InputRefusedError(
            f"a detector takes one image, the network takes {shapes_text(shapes)}",
            where="detection",
            hint="remove `detection` from the card",
        )
    spec.check_maps([output.shape for output in facts.network.outputs], len(_labels(facts)), shapes[0][2:])
    return spec.document()


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "reference": comparison.reference,
        "candidate": comparison.candidate,
        "tolerance": comparison.tolerance,
        "passed": comparison.passed,
        "outputs": [figures(measurement) for measurement in comparison.measurements],
    }


def _notes(facts: Facts, blocks: Sequence[object]) -> list[str]:
    given, source = facts.conversion.given, facts.source
    notes = [*facts.loaded.notes, *(given.notes if isinstance(given, TorchModel) else ())]
    if not blocks:
        notes.append("no coordinate attention was found: exported as any other network")
    if facts.loaded.card.get("labels") and not _labels(facts):
        notes.append("the card's labels were left out: there is not one for each output")
    notes += caveats(facts.contrasts)
    if source.kind == "noise":
        notes.append(f"parity was proven on {source.origin}; --images takes real data")
    elsewhere = [entry for entry in _proven(facts) if entry["samples"]["kind"] != source.kind]
    if elsewhere:
        sizes = ", ".join(shapes_text(entry["shapes"]) for entry in elsewhere)
        notes.append(
            f"at {sizes} parity was proven on {elsewhere[0]['samples']['origin']}; the given arrays have one size"
        )
    if facts.plan.note:
        notes.append(facts.plan.note)
    if not facts.request.dynamic:
        notes.append("for the recorded input shapes only: at any other size ncnn would compute something else")
    return notes
