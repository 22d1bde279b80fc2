"""How much the reference's outputs change between the samples: where they hardly do, agreement proves little.

A network that ignores its input returns the same for any two samples, so in one of them it errs by at least half of the
distance between what is right for the two. If even that is within the tolerance, the comparison would let it pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from dwca_export.errors import ParityError
from dwca_export.parity.channels import worst_channel
from dwca_export.parity.tolerances import TOLERANCES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

Verdict = Literal["strong", "weak", "blind", "constant"]

_MEANINGS = {
    "weak": "give --images on which it does",
    "blind": "only the comparison of each layer by itself speaks for it; train it, or give --images on which it does",
}
_HINT = "give --images (and more --samples) on which the outputs differ; an untrained network may ignore any input"
_HINT_FP16 = "; or leave fp16 out, whose tolerance is wide"


@dataclass(frozen=True)
class Contrast:
    """How much one output changes between the samples.

    Attributes:
        reference: The backend, with the size if it is not the first.
        output: Name of the output.
        relative_l2: Half the largest distance from the first sample's output, over the largest norm: a network that
            ignores its input errs by at least this.
        channel_l2: The same for the channel that changes most beside its own size; None for what has no channels.
        tolerance: Key of the tolerance in `TOLERANCES` that the changes were held against: the one that they exceed
            least.
        factor: How many times they exceed it.
        verdict: `strong`; `weak`, below the tolerance's `contrast`; `blind`, below the tolerance itself; `constant` for
            an output that does not depend on the input.
    """

    reference: str
    output: str
    relative_l2: float
    channel_l2: float | None
    tolerance: str
    factor: float
    verdict: Verdict


def contrasts(
    reference: tuple[str, Sequence[Mapping[str, np.ndarray]]],
    tolerances: Iterable[str],
    constant: Collection[str] = (),
) -> tuple[Contrast, ...]:
    """Measure every output of the reference, and judge.

    Args:
        reference: Name of the backend, and its outputs for each sample.
        tolerances: Keys of the tolerances that networks are compared with.
        constant: Outputs that do not depend on the input.
    """
    name, samples = reference
    keys = sorted(set(tolerances))
    return tuple(
        _contrast(name, output, [sample[output] for sample in samples], keys, output in constant)
        for output in samples[0]
    )


def require(found: Iterable[Contrast]) -> tuple[Contrast, ...]:
    """Return them, if none is blind.

    Raises:
        ParityError: For an output, a network that ignores its input would be within the tolerance.
    """
    found = tuple(found)
    blind = [one for one in found if one.verdict == "blind"]
    if blind:
        raise ParityError(
            "; ".join(map(_blindness, blind)),
            where=blind[0].reference,
            hint=_HINT + (_HINT_FP16 if any(one.tolerance != "fp32" for one in blind) else ""),
        )
    return found


def caveats(found: Iterable[Contrast]) -> tuple[str, ...]:
    """What the user should know, one line for each output: for the weakest of its contrasts."""
    weakest: dict[str, Contrast] = {}
    for one in found:
        if one.verdict != "strong" and (one.output not in weakest or one.factor < weakest[one.output].factor):
            weakest[one.output] = one
    return tuple(
        f"output {one.output!r} does not depend on the input; it was compared as a constant"
        if one.verdict == "constant"
        else f"weak proof: {_change(one)}; {_MEANINGS[one.verdict]}"
        for one in weakest.values()
    )


def _contrast(name: str, output: str, arrays: Sequence[np.ndarray], keys: Sequence[str], constant: bool) -> Contrast:
    relative_l2, channel_l2 = _changes(arrays)
    factors = {key: _factor(relative_l2, channel_l2, key) for key in keys}
    tolerance = min(keys, key=lambda key: factors[key] / TOLERANCES[key].contrast)
    factor = factors[tolerance]
    verdict: Verdict = "strong"
    # Written so that NaN is blind.
    if constant:
        verdict = "constant"
    elif not min(factors.values()) > 1:
        verdict = "blind"
    elif factor < TOLERANCES[tolerance].contrast:
        verdict = "weak"
    return Contrast(name, output, relative_l2, channel_l2, tolerance, factor, verdict)


def _changes(arrays: Sequence[np.ndarray]) -> tuple[float, float | None]:
    """Half the change of the whole and of the channel that changes most."""
    first = arrays[0].astype(np.float64)
    # numpy's maximum: NaN is the largest.
    distance = float(np.max([np.linalg.norm(array - first) for array in arrays]))
    size = float(np.max([np.linalg.norm(array.astype(np.float64)) for array in arrays]))
    channel = worst_channel(arrays, [arrays[0]] * len(arrays))
    return distance / size / 2 if size else 0.0, channel.relative_l2 / 2 if channel else None


def _factor(relative_l2: float, channel_l2: float | None, tolerance: str) -> float:
    """By how many times a network that ignores its input misses the tolerance, in one figure at least."""
    limit = TOLERANCES[tolerance]
    return max(relative_l2 / limit.relative_l2, (channel_l2 or 0.0) / limit.channel_l2)


def _blindness(one: Contrast) -> str:
    if math.isnan(one.factor):
        return f"output {one.output!r} holds NaN or infinity"
    return f"{_change(one)}: a network that ignores its input would pass"


def _change(one: Contrast) -> str:
    limit = TOLERANCES[one.tolerance].relative_l2
    return (
        f"output {one.output!r} hardly changes between the inputs "
        f"(by {one.relative_l2:.1e} of its size, {one.tolerance} tolerance {limit:g})"
    )
