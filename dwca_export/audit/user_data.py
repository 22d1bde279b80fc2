"""Compares a bundle's networks in every mode with its fp32 network on the user's data."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.artifacts import tensor_specs
from dwca_export.errors import ParityError, UsageError
from dwca_export.parity.boxes import BoxAgreement, compare_boxes, decoding_known, worst_boxes
from dwca_export.parity.judge import Comparison, compare
from dwca_export.runners.bundle import open_bundle
from dwca_export.samples import Preprocessing, open_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from dwca_export.audit.verdict import ModeResult
    from dwca_export.parity.measure import Measurement
    from dwca_export.parity.tolerances import Tolerance
    from dwca_export.runners.ncnn import NcnnRunner
    from dwca_export.samples import Feeds, SampleSource

    Outputs = Mapping[str, np.ndarray]

_NAMED = 3


@dataclass(frozen=True)
class Agreement:
    """One network in one mode beside the fp32 network, on the user's data.

    Attributes:
        precision: Which weights.
        mode: Which mode.
        measurements: One per output; figures are those of the worst sample, `top1` is the share of all.
        boxes: How far the boxes agree; None where it is not known how the outputs hold them.
        faults: What is beyond tolerance, one line each; empty means passed.
    """

    precision: str
    mode: str
    measurements: tuple[Measurement, ...]
    boxes: BoxAgreement | None
    faults: tuple[str, ...]


@dataclass(frozen=True)
class UserData:
    """What the user's data showed.

    Attributes:
        origin: What the data are.
        count: How many samples.
        reference: Weights that ran in fp32 as the reference.
        agreements: One per network and mode that this machine has, but for the reference itself.
        notes: What the user should know.
    """

    origin: str
    count: int
    reference: str
    agreements: tuple[Agreement, ...]
    notes: tuple[str, ...]


def open_data(path: Path, manifest: Mapping[str, Any]) -> SampleSource:
    """Find out what the user gave as data, and whether it fits the bundle; images are read later.

    Args:
        path: A folder of images, a `.npy` or a `.npz`; see `open_samples`.
        manifest: Of the bundle.

    Raises:
        UsageError: There is no such path, or it holds image files and Pillow is not installed.
        InputRefusedError: The data cannot be used.
    """
    preprocessing = Preprocessing.from_card({"input": manifest["inputs"][0].get("preprocessing") or {}})
    source = open_samples(path, tensor_specs(manifest["inputs"]), preprocessing)
    if source.files:
        _require_pillow(f"{source.files[0].name} is an image file")
    return source


def compare_on(
    source: SampleSource,
    folder: Path,
    manifest: Mapping[str, Any],
    results: Sequence[ModeResult],
    tolerances: Mapping[str, Tolerance],
    threads: int,
) -> UserData:
    """Run the user's data through every mode that was judged, one sample at a time.

    Args:
        source: The data.
        folder: The bundle.
        manifest: Its manifest.
        results: What was judged; modes that were not run are left out here too.
        tolerances: How far each mode may be off.
        threads: Threads that ncnn may use.

    Raises:
        UsageError: Images that only Pillow can resize, and it is not installed.
        InputRefusedError: An image cannot be read.
        ConversionError: ncnn does not run a network.
        ParityError: The reference itself computes NaN or infinity.
    """
    networks = list(manifest["networks"])
    reference = "fp32" if "fp32" in networks else networks[0]
    cases = [one for one in results if one.status != "not run" and (one.precision, one.mode) != (reference, "fp32")]
    with ExitStack() as stack:
        first = stack.enter_context(open_bundle(folder, precision=reference, threads=threads))
        judge = partial(compare, tolerances=tolerances)
        tallies = [_Tally(one, _open(stack, folder, one, threads), judge, decoding_known(manifest)) for one in cases]
        count = 0
        for feeds in samples_of(source, manifest):
            wanted = first.infer(feeds)
            _require_finite(wanted, f"sample {count} of {source.origin}")
            for tally in tallies:
                tally.add(wanted, feeds)
            count += 1
    agreements = tuple(tally.agreement() for tally in tallies)
    notes = _notes(source, agreements)
    return UserData(source.origin, count, reference, agreements, notes)


class _Tally:
    """Collects what one case does, sample by sample, without keeping tensors."""

    def __init__(self, case: ModeResult, runner: NcnnRunner, judge: Callable[..., Comparison], decoding: bool) -> None:
        self.case, self.runner, self.judge, self.decoding = case, runner, judge, decoding
        self.comparisons: list[Comparison] = []
        self.boxes: list[BoxAgreement] = []

    def add(self, wanted: Outputs, feeds: Feeds) -> None:
        found = self.runner.infer(feeds)
        names = ("ncnn fp32", f"ncnn {self.case.mode}")
        self.comparisons.append(self.judge((names[0], [wanted]), (names[1], [found]), self.case.tolerance))
        if self.decoding:
            pairs = zip(wanted.values(), found.values(), strict=True)
            self.boxes += [compare_boxes(*pair) for pair in pairs if np.isfinite(pair).all()]

    def agreement(self) -> Agreement:
        faults = [f"sample {n}: {fault}" for n, one in enumerate(self.comparisons) for fault in one.faults]
        more = [f"and {len(faults) - _NAMED} more"] if len(faults) > _NAMED else []
        outputs = zip(*(one.measurements for one in self.comparisons), strict=True)
        boxes = worst_boxes(self.boxes) if self.boxes else None
        measurements = tuple(map(_worst, outputs))
        return Agreement(self.case.precision, self.case.mode, measurements, boxes, (*faults[:_NAMED], *more))


def _worst(samples: Sequence[Measurement]) -> Measurement:
    """Put the measurements of one output together; figures are of those samples that can be compared."""
    sound = [one for one in samples if not one.fault]
    fault = next((one.fault for one in samples if one.fault), "")
    if not sound:
        return replace(samples[0], samples=len(samples), fault=fault)
    channels = [one.channel for one in sound if one.channel]
    matches = [one.top1 for one in sound if one.top1 is not None]
    return replace(
        sound[0],
        samples=len(samples),
        max_abs=max(one.max_abs for one in sound),
        relative_max=max(one.relative_max for one in sound),
        relative_l2=max(one.relative_l2 for one in sound),
        channel=max(channels, key=lambda channel: channel.relative_l2, default=None),
        cosine=min(one.cosine for one in sound),
        sqnr_db=min(one.sqnr_db for one in sound),
        # A sample that is not finite has no largest element: it does not agree.
        top1=sum(matches) / len(samples) if matches else None,
        fault=fault,
    )


def _require_finite(outputs: Outputs, where: str) -> None:
    for name, array in outputs.items():
        if not np.isfinite(array).all():
            raise ParityError(f"output {name!r} of the fp32 network holds NaN or infinity", where=where)


def _open(stack: ExitStack, folder: Path, case: ModeResult, threads: int) -> NcnnRunner:
    return stack.enter_context(open_bundle(folder, precision=case.precision, mode=case.mode, threads=threads))


def samples_of(source: SampleSource, manifest: Mapping[str, Any]) -> Iterator[Feeds]:
    """One sample after the other: a folder of images may not fit into memory.

    Args:
        source: The data.
        manifest: Of the bundle that they are for.

    Raises:
        UsageError: Images that only Pillow can resize, and it is not installed.
        InputRefusedError: An image cannot be read.
    """
    inputs = tensor_specs(manifest["inputs"])
    yield from source.arrays
    for file in source.files:
        yield from replace(source, files=(file,)).make(inputs, 1)
    for image in source.images:
        if len(inputs) == 1 and inputs[0].shape[1:] == (image.shape[2], *image.shape[:2]):
            yield {inputs[0].name: source.preprocessing(image)}
            continue
        _require_pillow(f"pixels of {'x'.join(map(str, image.shape))} have to be brought to the input's size")
        yield from replace(source, images=(image,)).make(inputs, 1)


def _require_pillow(why: str) -> None:
    if find_spec("PIL") is None:
        hint = "pip install pillow, or give a .npy of the network's float32 inputs or of uint8 pixels of its own size"
        raise UsageError(f"{why}, and pillow is not installed", where="--images", hint=hint)


def _notes(source: SampleSource, agreements: Sequence[Agreement]) -> tuple[str, ...]:
    notes = []
    if source.kind == "images" and not source.preprocessing.known:
        notes.append("the bundle does not say how pixels become its input: they were divided by 255")
    if not agreements:
        notes.append("on the data nothing was compared: no mode but that of the reference was run")
    outputs = [measurement for one in agreements for measurement in one.measurements]
    if any(one.top1 is None for one in outputs) and not any(one.boxes for one in agreements):
        notes.append("boxes and scores were not compared: the bundle does not say how its outputs hold them")
    return tuple(notes)
