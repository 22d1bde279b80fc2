"""What this core can do at most: multiply-adds and bytes a second, measured natively, never taken from a data sheet.

These are the two lines of the roofline of Williams, Waterman and Patterson ("Roofline: an insightful visual performance
model for multicore architectures", 2009): a kernel is as good as the larger of its shares of the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dwca_export import kernels

_SMALLEST_BUFFER = 1 << 12
_PROBE_SECONDS = 0.05


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

    def limits(self, bytes_: int) -> Limits | None:
        """The limits for tensors of this size together; None without the native library.

        Args:
            bytes_: Of input and output.
        """
        if self.missing:
            return None
        known = kernels.isas()
        isa = self.isa or known[-1]
        if isa not in known:
            self.missing = f"this machine has no {isa}"
            return None
        size = max(_SMALLEST_BUFFER, bytes_)
        if isa not in self._peaks:
            self._peaks[isa] = kernels.peak_multiply_adds(isa, _PROBE_SECONDS)
        if size not in self._bandwidths:
            self._bandwidths[size] = kernels.bandwidth(size, _PROBE_SECONDS)
        return Limits(self._peaks[isa], self._bandwidths[size])
