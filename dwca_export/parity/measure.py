"""How far a candidate's outputs are from the reference's: float64 numbers, no judgement."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.parity.channels import ChannelError, worst_channel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CLASSIFIER_RANK = 2  # (1, classes)
_MIN_CLASSES = 2


@dataclass(frozen=True)
class Measurement:
    """One output over all samples; each figure is the worst sample's.

    Attributes:
        output: Name of the output.
        shape: Shape of the reference, batch axis included.
        samples: How many were compared.
        max_abs: Largest absolute difference.
        relative_max: The same over the reference's largest magnitude.
        relative_l2: Norm of the difference over the norm of the reference.
        channel: The channel with the largest relative error; None for what has no channels.
        cosine: Cosine of the angle between the two.
        sqnr_db: Signal to quantisation noise ratio in dB; infinite for equal tensors.
        top1: Share of samples with the same largest element; None for what is no vector of class scores.
        fault: Why the two cannot be compared at all (other shape, NaN), empty otherwise.
    """

    output: str
    shape: tuple[int, ...]
    samples: int
    max_abs: float = math.nan
    relative_max: float = math.nan
    relative_l2: float = math.nan
    channel: ChannelError | None = None
    cosine: float = math.nan
    sqnr_db: float = math.nan
    top1: float | None = None
    fault: str = ""


def measure(output: str, reference: Sequence[np.ndarray], candidate: Sequence[np.ndarray]) -> Measurement:
    """Compare one output of two backends over the same samples.

    Args:
        output: Name of the output.
        reference: One array per sample, batch axis first.
        candidate: The same from the other backend, as many.
    """
    if not reference:
        return Measurement(output, (), 0, fault="no sample")
    shape = reference[0].shape
    for index, (expected, actual) in enumerate(zip(reference, candidate, strict=True)):
        fault = _fault(expected, actual)
        if fault:
            return Measurement(output, shape, len(reference), fault=f"sample {index}: {fault}")
    rows = np.array([_errors(*pair) for pair in zip(reference, candidate, strict=True)])
    max_abs, relative_max, relative_l2 = map(float, rows[:, :3].max(axis=0))
    cosine, sqnr_db = map(float, rows[:, 3:].min(axis=0))
    return Measurement(
        output,
        shape,
        len(reference),
        max_abs,
        relative_max,
        relative_l2,
        worst_channel(reference, candidate),
        cosine,
        sqnr_db,
        _top1(reference, candidate),
    )


def figures(measurement: Measurement) -> dict[str, Any]:
    """The measurement as a JSON object: without the fault, null for what is no finite number."""
    values = asdict(measurement)
    del values["fault"]
    values["channel"] = str(measurement.channel or "")
    values["channel_l2"] = measurement.channel.relative_l2 if measurement.channel else None
    values["shape"] = list(measurement.shape)
    return finite_or_null(values)


def finite_or_null(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as JSON can hold them: None instead of NaN and the infinities."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


def _fault(expected: np.ndarray, actual: np.ndarray) -> str:
    if expected.shape != actual.shape:
        return f"shape {list(actual.shape)} instead of {list(expected.shape)}"
    if not expected.size:
        return f"nothing in it: shape {list(expected.shape)}"
    for name, array in (("the reference", expected), ("the candidate", actual)):
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            return f"{bad} of {array.size} values of {name} are NaN or infinite"
    return ""


def _errors(expected: np.ndarray, actual: np.ndarray) -> tuple[float, float, float, float, float]:
    """Return max_abs, relative_max, relative_l2, cosine, sqnr_db; zero signal with zero error counts as no error."""
    a, b = expected.astype(np.float64).ravel(), actual.astype(np.float64).ravel()
    max_abs = float(np.abs(a - b).max())
    noise, signal, other = (float(np.linalg.norm(vector)) for vector in (a - b, a, b))
    cosine = float(a @ b) / (signal * other) if signal and other else float(signal == other)
    sqnr = 20 * math.log10(signal / noise) if signal and noise else (math.inf if noise == 0 else -math.inf)
    # Rounding can carry the cosine past its range.
    cosine = min(1.0, max(-1.0, cosine))
    return max_abs, _ratio(max_abs, float(np.abs(a).max())), _ratio(noise, signal), cosine, sqnr


def _ratio(error: float, scale: float) -> float:
    return error / scale if scale else (0.0 if error == 0 else math.inf)


def _top1(reference: Sequence[np.ndarray], candidate: Sequence[np.ndarray]) -> float | None:
    if reference[0].ndim != _CLASSIFIER_RANK or reference[0].shape[1] < _MIN_CLASSES:
        return None
    return float(np.mean([a.argmax() == b.argmax() for a, b in zip(reference, candidate, strict=True)]))
