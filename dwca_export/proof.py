"""Runs every backend on the samples and compares: adjacent hops, and the reference with what is shipped."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from dwca_export.conversion import reference
from dwca_export.errors import ParityError
from dwca_export.parity.contrast import Contrast, contrasts, require
from dwca_export.parity.judge import Comparison, compare
from dwca_export.runners.child import Job
from dwca_export.runners.ort import OrtRunner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dwca_export.artifacts import OnnxModel, TensorSpec, TorchModel
    from dwca_export.conversion import Conversion
    from dwca_export.runners.base import Runner
    from dwca_export.runners.child import NcnnChild

    Feeds = Mapping[str, np.ndarray]

_SCALES = tuple(map(np.float32, (1e-3, 1, 1e3, 1e6)))
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
        contrasts: How much the reference's outputs change between the samples.
        outputs: The reference's outputs for each sample.
    """

    comparisons: tuple[Comparison, ...]
    contrasts: tuple[Contrast, ...]
    outputs: tuple[Feeds, ...]


def prove(conversion: Conversion, shipped: Sequence[Shipped], samples: Sequence[Feeds], child: NcnnChild) -> Proof:
    """Compare all backends at the size of the conversion.

    Outputs that hardly change between the samples are not refused here: what they cannot show, the layers may.

    Args:
        conversion: What every hop made.
        shipped: ncnn networks in order: as pnnx wrote it, then those of the bundle.
        samples: Inputs.
        child: Runs ncnn.

    Raises:
        ConversionError: A backend does not run its model.
        ParityError: A pair differs by more than its tolerance.
    """
    count, samples = len(samples), _differing(samples)
    name, runner = reference(conversion.given)
    stages = [(name, "fp32", _infer(runner, samples))]
    found = _contrasts(conversion.given, (name, stages[0][2]), shipped)
    for name, model in conversion.onnx:
        stages.append((name, "fp32", _infer(OrtRunner(model, name), samples)))
    jobs = [_job(network, conversion.ncnn.inputs, conversion.ncnn.outputs) for network in shipped]
    for network, outputs in zip(shipped, child.run(jobs, samples), strict=True):
        stages.append((network.name, network.tolerance, outputs))
    comparisons = [_compare(*pair) for pair in pairwise(stages)]
    comparisons += [_compare(stages[0], stage) for stage in stages[-len(shipped) + 1 :]]
    return Proof(tuple(map(_passed, comparisons)), found, tuple(stages[0][2][:count]))


def prove_at(
    given: TorchModel | OnnxModel, shipped: Sequence[Shipped], samples: Sequence[Feeds], child: NcnnChild
) -> Proof:
    """Compare the bundle's networks with the reference at a size that was not converted at.

    Args:
        given: The network as it came, for this size.
        shipped: The bundle's ncnn networks.
        samples: Inputs of this size.
        child: Runs ncnn.

    Raises:
        ConversionError: A backend does not run its model.
        ParityError: A network differs by more than its tolerance, or an output hardly changes between the samples.
    """
    count, samples = len(samples), _differing(samples)
    name, runner = reference(given)
    size = " + ".join("x".join(map(str, spec.shape)) for spec in given.inputs)
    expected = (f"{name} at {size}", "fp32", _infer(runner, samples))
    found = require(_contrasts(given, (expected[0], expected[2]), shipped))  # before ncnn runs in vain
    results = child.run([_job(network, given.inputs, given.outputs) for network in shipped], samples)
    comparisons = tuple(
        _passed(_compare(expected, (f"{network.name} at {size}", network.tolerance, result)))
        for network, result in zip(shipped, results, strict=True)
    )
    return Proof(comparisons, found, tuple(expected[2][:count]))


def _differing(samples: Sequence[Feeds]) -> Sequence[Feeds]:
    """The samples, and if they are all the same, one that differs: the first one turned around and halved.

    So it has the same kind of numbers, and other ones even for a network that only looks at means, or only at ratios.
    """
    first = samples[0]
    if any(not np.array_equal(sample[name], first[name]) for sample in samples for name in first):
        return samples
    turned = {name: np.ascontiguousarray(np.flip(array) * np.float32(0.5)) for name, array in first.items()}
    return [*samples, turned]


def _contrasts(
    given: TorchModel | OnnxModel, expected: tuple[str, Sequence[Feeds]], shipped: Sequence[Shipped]
) -> tuple[Contrast, ...]:
    constant = _constant(given, expected[1])
    return contrasts(expected, [network.tolerance for network in shipped], constant)


def _constant(given: TorchModel | OnnxModel, outputs: Sequence[Feeds]) -> frozenset[str]:
    """Outputs that the reference gives to the bit for every input: the samples, and noise far smaller and far larger.

    So an output that is only saturated on the samples is not among them.
    """
    first = outputs[0]
    same = {name for name in first if all(np.array_equal(output[name], first[name]) for output in outputs)}
    if not same:
        return frozenset()
    generator = np.random.default_rng(0)
    noise = [
        {spec.name: scale * generator.standard_normal(spec.shape, np.float32) for spec in given.inputs}
        for scale in _SCALES
    ]
    others = _infer(reference(given)[1], noise)
    return frozenset(name for name in same if all(np.array_equal(other[name], first[name]) for other in others))


def _job(network: Shipped, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Job:
    return Job(network.name, str(network.param), str(network.bin), tuple(inputs), tuple(outputs))


def _infer(runner: Runner, samples: Sequence[Feeds]) -> list[dict[str, np.ndarray]]:
    with runner:
        return [runner.infer(sample) for sample in samples]


def _passed(comparison: Comparison) -> Comparison:
    try:
        return comparison.require()
    except ParityError as error:
        error.hint = error.hint or _HINTS[comparison.tolerance]
        raise


def _compare(reference: tuple[str, str, Sequence[Feeds]], candidate: tuple[str, str, Sequence[Feeds]]) -> Comparison:
    return compare((reference[0], reference[2]), (candidate[0], candidate[2]), candidate[1])
