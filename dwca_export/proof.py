"""Runs every backend on the samples and compares: adjacent hops, and the reference with what is shipped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from dwca_export.conversion import reference
from dwca_export.errors import ParityError
from dwca_export.parity.judge import Comparison, compare
from dwca_export.runners.child import Job
from dwca_export.runners.ort import OrtRunner
from dwca_export.taps import choose_taps, with_taps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from dwca_export.artifacts import OnnxModel, TensorSpec, TorchModel
    from dwca_export.conversion import Conversion
    from dwca_export.runners.base import Runner
    from dwca_export.runners.child import NcnnChild

    Feeds = Mapping[str, np.ndarray]

_HINTS = {
    "fp32": "nothing was written; a converter or dwca-export is at fault: report it, with the network if you can",
    "fp16-weights": "the network does not bear weights in fp16: --precision fp32",
}


@dataclass(frozen=True)
class Shipped:
    """An ncnn network that was written to disk.

    Attributes:
        name: What the report calls it.
        param: Its graph.
        bin: Its weights.
        tolerance: How far it may be from the reference (key of `TOLERANCES`).
    """

    name: str
    param: Path
    bin: Path
    tolerance: str


@dataclass(frozen=True)
class Proof:
    """What was compared, and the tensors to record.

    Attributes:
        comparisons: Every pair of backends; all passed.
        outputs: The reference's outputs for each sample.
        taps: For the first sample, the tapped values by torch module, without batch axis.
    """

    comparisons: tuple[Comparison, ...]
    outputs: tuple[Feeds, ...]
    taps: Mapping[str, np.ndarray]


def prove(conversion: Conversion, shipped: Sequence[Shipped], samples: Sequence[Feeds], child: NcnnChild) -> Proof:
    """Compare all backends at the size of the conversion.

    Args:
        conversion: What every hop made.
        shipped: ncnn networks in order: as pnnx wrote it, then those of the bundle.
        samples: Inputs.
        child: Runs ncnn.

    Raises:
        ConversionError: A backend does not run its model.
        ParityError: A pair differs by more than its tolerance.
    """
    name, runner = reference(conversion.given)
    stages = [(name, "fp32", _infer(runner, samples))]
    for name, model in conversion.onnx[:-1]:
        stages.append((name, "fp32", _infer(OrtRunner(model, name), samples)))
    name, last = conversion.onnx[-1]
    results, taps = _infer_taps(last, name, samples)
    stages.append((name, "fp32", results))
    jobs = [_job(network, last.inputs, last.outputs) for network in shipped]
    for network, outputs in zip(shipped, child.run(jobs, samples), strict=True):
        stages.append((network.name, network.tolerance, outputs))
    comparisons = [_compare(*pair) for pair in pairwise(stages)]
    comparisons += [_compare(stages[0], stage) for stage in stages[-len(shipped) + 1 :]]
    return Proof(tuple(map(_passed, comparisons)), tuple(stages[0][2]), taps)


def prove_at(
    given: TorchModel | OnnxModel, shipped: Sequence[Shipped], samples: Sequence[Feeds], child: NcnnChild
) -> tuple[Comparison, ...]:
    """Compare the bundle's networks with the reference at a size that was not converted at.

    Args:
        given: The network as it came, for this size.
        shipped: The bundle's ncnn networks.
        samples: Inputs of this size.
        child: Runs ncnn.

    Raises:
        ConversionError: A backend does not run its model.
        ParityError: A network differs by more than its tolerance.
    """
    name, runner = reference(given)
    size = " + ".join("x".join(map(str, spec.shape)) for spec in given.inputs)
    expected = (f"{name} at {size}", "fp32", _infer(runner, samples))
    results = child.run([_job(network, given.inputs, given.outputs) for network in shipped], samples)
    return tuple(
        _passed(_compare(expected, (f"{network.name} at {size}", network.tolerance, result)))
        for network, result in zip(shipped, results, strict=True)
    )


def _job(network: Shipped, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Job:
    return Job(network.name, str(network.param), str(network.bin), tuple(inputs), tuple(outputs))


def _infer(runner: Runner, samples: Sequence[Feeds]) -> list[dict[str, np.ndarray]]:
    with runner:
        return [runner.infer(sample) for sample in samples]


def _infer_taps(
    model: OnnxModel, name: str, samples: Sequence[Feeds]
) -> tuple[list[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Run the graph with its taps: the outputs for each sample, and the first sample's taps."""
    taps = choose_taps(model)
    results = _infer(OrtRunner(replace(model, proto=with_taps(model, taps)), name), samples)
    outputs = [{spec.name: result[spec.name] for spec in model.outputs} for result in results]
    return outputs, {module: results[0][value][0] for value, module in taps.items()}


def _passed(comparison: Comparison) -> Comparison:
    try:
        return comparison.require()
    except ParityError as error:
        error.hint = error.hint or _HINTS[comparison.tolerance]
        raise


def _compare(reference: tuple[str, str, Sequence[Feeds]], candidate: tuple[str, str, Sequence[Feeds]]) -> Comparison:
    return compare((reference[0], reference[2]), (candidate[0], candidate[2]), candidate[1])
