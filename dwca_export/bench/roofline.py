"""What this core can do at most: multiply-adds and bytes a second, measured natively, never taken from a data sheet.

These are the two lines of the roofline of Williams, Waterman and Patterson ("Roofline: an insightful visual performance
model for multicore architectures", 2009): a kernel is as good as the larger of its shares of the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dwca_export import kernels
from dwca_export.bench.slope import respite

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALLEST_BUFFER = 1 << 12
# The best of several: what else the machine does makes a probe slower, nothing makes it faster.
_PROBES = 5
_PROBE_SECONDS = 0.03


@dataclass(frozen=True)
class Limits:
    """The limits of one core for tensors of one size.

    Attributes:
        multiply_adds: At most, a second.
        bandwidth: Bytes a second, read and written, over a buffer as large as input and output together.
    """

    multiply_adds: float
    bandwidth: float


@dataclass
class Roofline:
    """Measures each limit when it is first asked for, once in each size.

    Attributes:
        isa: Instruction set whose peak counts; None for the best that this machine has.
        missing: Why there are no limits, None if there are.
    """

    isa: str | None = None
    missing: str | None = field(default_factory=kernels.missing)
    _peaks: dict[str, float] = field(default_factory=dict)
    _bandwidths: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.missing and self.isa not in (None, *kernels.isas()):
            self.missing = f"this machine has no {self.isa}"

    def limits(self, bytes_: int) -> Limits | None:
        """The limits for tensors of this size together; None without the native library.

        Args:
            bytes_: Of input and output.
        """
        if self.missing:
            return None
        isa = self.isa or kernels.isas()[-1]
        size = max(_SMALLEST_BUFFER, bytes_)
        if isa not in self._peaks:
            self._peaks[isa] = _best(lambda: kernels.peak_multiply_adds(isa, _PROBE_SECONDS))
        if size not in self._bandwidths:
            self._bandwidths[size] = _best(lambda: kernels.bandwidth(size, _PROBE_SECONDS, isa))
        return Limits(self._peaks[isa], self._bandwidths[size])


def _best(probe: Callable[[], float]) -> float:
    found = []
    for _ in range(_PROBES):
        respite()
        found.append(probe())
    return max(found)
