"""The hops in order: from a model file to a bundle that is proven right."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export import bundle
from dwca_export.alignment import Alignment, align, require
from dwca_export.alignment import document as alignment_document
from dwca_export.conversion import Opener, convert
from dwca_export.errors import ConversionError, ParityError, UsageError
from dwca_export.generalise import generalise
from dwca_export.load import check_path, load
from dwca_export.manifest import Facts, describe, metadata
from dwca_export.ncnn.graph import from_model
from dwca_export.ncnn.weights import to_fp16, write_weights
from dwca_export.optimise import optimise
from dwca_export.parity.contrast import caveats
from dwca_export.parity.contrast import require as require_contrast
from dwca_export.parity.tolerances import TOLERANCES
from dwca_export.progress import Progress
from dwca_export.proof import Shipped, prove, prove_at
from dwca_export.report.html import page
from dwca_export.runners.child import Job
from dwca_export.samples import Preprocessing, open_samples
from dwca_export.shapes import shapes_text
from dwca_export.sizes import PROOF_SAMPLES, SizePlan, plan_sizes
from dwca_export.staging import check_target, staged
from dwca_export.templates import write_programs
from dwca_export.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwca_export.artifacts import LoadedModel, NcnnModel
    from dwca_export.conversion import Conversion
    from dwca_export.ncnn.graph import Graph
    from dwca_export.proof import Proof
    from dwca_export.request import ExportRequest
    from dwca_export.runners.child import NcnnChild
    from dwca_export.samples import Feeds, SampleSource
    from dwca_export.sizes import Shapes

DEFAULT_SHAPE = (1, 3, 224, 224)


@dataclass(frozen=True)
class Export:
    """What came out.

    Attributes:
        bundle: The folder.
        manifest: What its `manifest.json` says.
    """

    bundle: Path
    manifest: dict[str, Any] = field(repr=False)


def export(request: ExportRequest, progress: Progress | None = None) -> Export:
    """Run all hops.

    Args:
        request: What to export, and how.
        progress: Told of every hop; None for silence.

    Raises:
        UsageError: The bundle cannot be written where it was asked for.
        InputRefusedError: The model, its shapes or the data cannot be used.
        ConversionError: A hop fails.
        ParityError: What came out does not compute the same.
    """
    progress = progress or Progress(quiet=True)
    check_path(request.model)  # before that of the bundle, which is named after it
    target = bundle.bundle_folder(request.model, request.out)
    check_target(target, force=request.force, sources=[path for path in (request.model, request.images) if path])
    if request.images is not None and not request.images.exists():  # which the hops would find out last
        hint = "give a folder of images, a .npy or a .npz"
        raise UsageError(f"no such file or folder: {request.images}", where="--images", hint=hint)
    with Workers(request.timeout) as workers:
        loaded, shapes = _load(request, progress)
        with staged(target, force=request.force) as folder:
            document = _export(request, loaded, shapes, _Tools(folder, workers, progress))
    return Export(target, document)


@dataclass(frozen=True)
class _Tools:
    """What the hops work with: the folder to write to, the processes that run onnxsim and ncnn, and who is told."""

    folder: Path
    workers: Workers
    progress: Progress


def _export(request: ExportRequest, loaded: LoadedModel, shapes: Shapes, tools: _Tools) -> dict[str, Any]:
    """Run the hops behind `load`; returns the manifest."""
    progress, child = tools.progress, tools.workers.ncnn
    opener = Opener(loaded)
    plan = _plan(opener, shapes, progress) if request.dynamic else SizePlan((shapes,), ())
    conversions = [convert(opener, one, progress, tools.workers, request.timeout) for one in plan.conversion]
    base = conversions[0]
    source = open_samples(request.images, base.ncnn.inputs, Preprocessing.from_card(loaded.card), request.seed)
    samples = source.make(base.ncnn.inputs, request.samples)
    with progress.hop("optimise") as hop:
        graph, generalised = _any_size(conversions, child) if request.dynamic else (None, ())
        network, passes = optimise(base.ncnn, graph)
        shipped = _write_networks(tools.folder, network, request.precisions)
        hop.says(f"{len(network.param.layers)} layers; passes: {', '.join(passes) or 'none'}")
    with progress.hop("parity") as hop:
        proof, alignment = _prove(base, network, shipped, samples, child)
        proofs = [proof, *_prove_sizes(opener, plan, shipped, source, child)]
        comparisons = [comparison for one in proofs for comparison in one.comparisons]
        contrasts = [contrast for one in proofs for contrast in one.contrasts]
        passed = f"{len(comparisons)} comparisons passed; samples: {len(samples)} of {source.origin}"
        hop.says("; ".join([passed, *caveats(contrasts)]))
    with progress.hop("bundle") as hop:
        rewrites = (*base.rewrites, *(f"any size: {name}" for name in generalised), *passes)
        facts = Facts(request, loaded, base, network, source, samples, comparisons, contrasts, plan, rewrites)
        document = _write_bundle(tools.folder, facts, proof, alignment)
        hop.says(f"{len(document['files']) + 1} files")
    return document


def _load(request: ExportRequest, progress: Progress) -> tuple[LoadedModel, Shapes]:
    with progress.hop("load") as hop:
        loaded = load(
            request.model,
            arch=request.arch,
            arch_args=request.arch_args,
            trust=request.trust,
            trust_all=request.trust_all,
        )
        shapes = request.shapes or loaded.shapes or (DEFAULT_SHAPE,)
        origin = "--shape" if request.shapes else loaded.shapes_from or "the default: give --shape for another"
        hop.says(f"{loaded.kind}; shape {shapes_text(shapes)} from {origin}")
    return loaded, shapes


def _plan(opener: Opener, shapes: Shapes, progress: Progress) -> SizePlan:
    with progress.hop("sizes") as hop:
        plan = plan_sizes(shapes, opener.at)
        conversion, proof = (", ".join(map(shapes_text, purpose)) for purpose in (plan.conversion, plan.proof))
        hop.says(f"convert at {conversion}; prove at {proof}")
    return plan


def _any_size(conversions: Sequence[Conversion], child: NcnnChild) -> tuple[Graph, tuple[str, ...]]:
    """Make one graph of the conversions; needs the shape of every blob at every size, so ncnn runs them."""
    models = [conversion.ncnn for conversion in conversions]
    blobs = []
    with tempfile.TemporaryDirectory(prefix="dwca-sizes-") as name:
        for model in models:
            raw = _write_raw(Path(name), model)
            names = tuple(blob for layer in from_model(model).layers for blob in layer.tops)
            feeds = {spec.name: np.zeros(spec.shape, np.float32) for spec in model.inputs}
            job = Job(raw.name, str(raw.param), str(raw.bin), model.inputs, model.outputs, blobs=names)
            blobs += child.run([job], [feeds])[0]
    return generalise(models, blobs)


def _write_networks(folder: Path, network: NcnnModel, precisions: Sequence[str]) -> list[Shipped]:
    param = folder / bundle.PARAM
    param.write_text(network.param.text(), encoding="utf-8")
    shipped = []
    for precision, name in bundle.bin_names(precisions).items():
        weights = network.weights if precision == "fp32" else to_fp16(network.param, network.weights)
        path = folder / name
        path.write_bytes(write_weights(weights))
        tolerance = "fp32" if precision == "fp32" else "fp16-weights"
        shipped.append(Shipped(f"ncnn {precision}", param, path, tolerance))
    return shipped


def _write_raw(folder: Path, model: NcnnModel) -> Shipped:
    raw = Shipped("ncnn by pnnx", folder / "raw.param", folder / "raw.bin", "fp32")
    raw.param.write_text(model.param.text(), encoding="utf-8")
    raw.bin.write_bytes(write_weights(model.weights))
    return raw


def _prove(
    base: Conversion, network: NcnnModel, shipped: Sequence[Shipped], samples: Sequence[Feeds], child: NcnnChild
) -> tuple[Proof, Alignment]:
    """Prove the outputs, and then every value on the way that the hops have in common."""
    with tempfile.TemporaryDirectory(prefix="dwca-raw-") as name:
        try:
            proof = prove(base, [_write_raw(Path(name), base.ncnn), *shipped], samples, child)
        except ParityError as error:
            error.what += _located(base, network, shipped, samples[0])
            raise
    alignment = require(align(base, network, shipped[0], samples[0]))
    if not alignment.values:  # the outputs alone have to prove it
        require_contrast(proof.contrasts)
    return proof, alignment


def _located(base: Conversion, network: NcnnModel, shipped: Sequence[Shipped], sample: Feeds) -> str:
    """Where an error in the outputs arises, to be put behind it; empty if no hop tells."""
    return next(filter(None, (_first_wrong(base, network, one, sample) for one in shipped)), "")


def _first_wrong(base: Conversion, network: NcnnModel, shipped: Shipped, sample: Feeds) -> str:
    try:
        require(align(base, network, shipped, sample))
    except ParityError as error:
        return f"; {error.what}"
    except ConversionError:  # what is broken may not even run
        pass
    return ""


def _prove_sizes(
    opener: Opener, plan: SizePlan, shipped: Sequence[Shipped], source: SampleSource, child: NcnnChild
) -> list[Proof]:
    proofs = []
    for shapes in plan.proof:
        given = opener.at(shapes)
        proofs.append(prove_at(given, shipped, source.make(given.inputs, PROOF_SAMPLES), child))
    return proofs


def _write_bundle(folder: Path, facts: Facts, proof: Proof, alignment: Alignment) -> dict[str, Any]:
    """Write everything but the networks, which are there already; the manifest comes last, with the hashes."""
    network, onnx_model = facts.network, facts.conversion.onnx[-1][1]
    bundle.write_golden(folder / bundle.GOLDEN, facts.samples, proof.outputs, alignment.taps, alignment.blobs)
    bundle.write_json(folder / bundle.LAYERS, alignment_document(alignment))
    (folder / "model.onnx").write_bytes(onnx_model.proto.SerializeToString(deterministic=True))
    precision = "fp32" if "fp32" in facts.request.precisions else "fp16-weights"
    tolerance = TOLERANCES[precision].relative_max
    sizes: dict[str, Any] = {"any_size": facts.request.dynamic, "size_step": facts.plan.step}
    write_programs(folder, network.inputs, network.outputs, tolerance=tolerance, **sizes)
    document = describe(facts)
    bundle.write_metadata(folder / "metadata.yaml", metadata(document))
    (folder / "report.html").write_text(page(document), encoding="utf-8")
    document["files"] = bundle.hash_files(folder)
    bundle.write_json(folder / bundle.MANIFEST, document)
    return document
