"""Compares two backends and says passed or failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwca_export.errors import ParityError
from dwca_export.parity.measure import measure
from dwca_export.parity.tolerances import TOLERANCES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from dwca_export.parity.measure import Measurement
    from dwca_export.parity.tolerances import Tolerance

    Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """The verdict over one pair of backends.

    Attributes:
        reference: What was taken as right.
        candidate: What was judged.
        tolerance: Key of the tolerance in `TOLERANCES`.
        measurements: One per output.
        faults: What is wrong, one line each; empty means passed.
    """

    reference: str
    candidate: str
    tolerance: str
    measurements: tuple[Measurement, ...]
    faults: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every output is within tolerance."""
        return not self.faults

    def require(self) -> Comparison:
        """Return itself if passed.

        Raises:
            ParityError: Naming the pair, the outputs and the numbers.
        """
        if self.faults:
            raise ParityError("; ".join(self.faults), where=f"{self.reference} -> {self.candidate}")
        return self


def compare(
    reference: tuple[str, Sequence[Outputs]],
    candidate: tuple[str, Sequence[Outputs]],
    tolerance: str,
    tolerances: Mapping[str, Tolerance] = TOLERANCES,
) -> Comparison:
    """Judge a candidate's outputs.

    Args:
        reference: Name of the backend, and its outputs for each sample.
        candidate: The same of the backend to be judged.
        tolerance: Key of the tolerance.
        tolerances: Where it is looked up.

    Raises:
        ParityError: There is nothing to compare, which proves nothing.
    """
    (expected_name, expected), (actual_name, actual) = reference, candidate
    pair = f"{expected_name} -> {actual_name}"
    if not expected or not expected[0] or len(expected) != len(actual):
        raise ParityError(f"nothing to compare: {len(expected)} and {len(actual)} samples", where=pair)
    names = dict.fromkeys(name for sample in (*expected, *actual) for name in sample)
    faults = [fault for name in names if (fault := _absence(name, expected, actual))]
    measurements = tuple(
        measure(name, [sample[name] for sample in expected], [sample[name] for sample in actual])
        for name in names
        if not _absence(name, expected, actual)
    )
    faults += [
        f"output {measurement.output!r}: {fault}"
        for measurement in measurements
        if (fault := fault_of(measurement, tolerance, tolerances))
    ]
    return Comparison(expected_name, actual_name, tolerance, measurements, tuple(faults))


def _absence(name: str, expected: Sequence[Outputs], actual: Sequence[Outputs]) -> str:
    """Every sample has to have every output that any has."""
    if any(name not in sample for sample in actual):
        return f"output {name!r} is missing"
    return f"output {name!r} is not in the reference" if any(name not in sample for sample in expected) else ""


def fault_of(measurement: Measurement, tolerance: str, tolerances: Mapping[str, Tolerance] = TOLERANCES) -> str:
    """What is wrong with a tensor, in one line; empty if it is within the tolerance of that key."""
    limit = tolerances[tolerance]
    if measurement.fault:
        return measurement.fault
    # Written so that NaN fails.
    if not measurement.relative_l2 <= limit.relative_l2:
        figures = f"relative L2 error {measurement.relative_l2:.3g} is above {limit.relative_l2:g}"
    elif not measurement.relative_max <= limit.relative_max:
        figures = f"largest error is {measurement.relative_max:.3g} of the largest value, above {limit.relative_max:g}"
    elif measurement.channel and not measurement.channel.relative_l2 <= limit.channel_l2:
        error = f"error {measurement.channel.relative_l2:.3g} of its size"
        figures = f"{measurement.channel}: {error} is above {limit.channel_l2:g}"
    else:
        return ""
    return f"{figures} ({tolerance} tolerance)"
