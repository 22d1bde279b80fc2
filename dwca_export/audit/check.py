"""What `dwca-parity` does: holds a bundle to its manifest, and judges it in every mode on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dwca_export.audit.bundle_paths import lint_bundle
from dwca_export.audit.integrity import open_whole_bundle
from dwca_export.audit.ncnn_version import check_ncnn, require_known_layers
from dwca_export.audit.ranges import audit_ranges
from dwca_export.audit.recorded import load_param
from dwca_export.audit.user_data import compare_on, open_data, samples_of
from dwca_export.audit.verdict import audit
from dwca_export.bundle import COPY_AGAIN, PARAM
from dwca_export.errors import ConversionError, UsageError
from dwca_export.parity.tolerances import TOLERANCES
from dwca_export.runners.ncnn import MODES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dwca_export.audit.ranges import RangeAudit
    from dwca_export.audit.user_data import UserData
    from dwca_export.audit.verdict import ModeResult
    from dwca_export.kernel_paths import KernelPath
    from dwca_export.ncnn.param import Param
    from dwca_export.parity.tolerances import Tolerance


@dataclass(frozen=True)
class CheckRequest:
    """What the user asked for.

    Attributes:
        bundle: The folder.
        modes: Which of `MODES` to judge.
        threads: Threads that ncnn may use.
        tolerances: How far each mode may be off.
        images: The user's data; see `open_samples`.
        paths: Whether to look up which kernels ncnn takes.
        ranges: Whether to hold the numbers to fp16's range.
        allow_older_ncnn: Whether an ncnn that is older than the bundle's may be used.
        notes: What the user should know of the request itself.
    """

    bundle: Path
    modes: Sequence[str] = MODES
    threads: int = 1
    tolerances: Mapping[str, Tolerance] = field(default_factory=lambda: TOLERANCES)
    images: Path | None = None
    paths: bool = False
    ranges: bool = False
    allow_older_ncnn: bool = False
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Check:
    """What came out.

    Attributes:
        request: What was asked for.
        manifest: Of the bundle.
        results: One per network and mode that was asked for.
        user_data: What the user's data showed; None without data.
        paths: Which kernels ncnn takes; None if that was not asked for.
        ranges: How large the numbers are; None if that was not asked for.
        notes: What the user should know.
    """

    request: CheckRequest
    manifest: Mapping[str, Any]
    results: tuple[ModeResult, ...]
    user_data: UserData | None
    paths: tuple[KernelPath, ...] | None
    ranges: RangeAudit | None
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing that was run failed."""
        agreements = self.user_data.agreements if self.user_data else ()
        return all(result.status != "failed" for result in self.results) and not any(one.faults for one in agreements)


def check_bundle(request: CheckRequest) -> Check:
    """Judge a bundle.

    Raises:
        UsageError: This machine has none of the modes; data or options that cannot be used.
        InputRefusedError: No whole bundle, an older ncnn, or data that do not fit.
        ConversionError: ncnn does not load or run the network.
        ParityError: The network is not the one that was recorded.
    """
    folder = request.bundle
    manifest, unknown = open_whole_bundle(folder)
    versions = check_ncnn(manifest, allow_older=request.allow_older_ncnn)
    require_known_layers(_read_param(folder), str(folder / PARAM))
    source = open_data(request.images, manifest) if request.images else None
    results = _judge(request)
    user_data = compare_on(source, folder, manifest, results, request.tolerances, request.threads) if source else None
    paths = lint_bundle(folder, manifest) if request.paths else None
    more = samples_of(source, manifest) if source else ()
    ranges = audit_ranges(folder, more, threads=request.threads) if request.ranges else None
    notes = (*request.notes, *unknown, *versions, *(user_data.notes if user_data else ()))
    return Check(request, manifest, results, user_data, paths, ranges, notes)


def _read_param(folder: Path) -> Param:
    try:
        return load_param(folder)
    except ConversionError as error:
        error.hint = error.hint or COPY_AGAIN
        raise


def _judge(request: CheckRequest) -> tuple[ModeResult, ...]:
    """Judge the modes asked for.

    That this machine lacks a mode shows in that it computes as in one before it: those have to run as well.
    """
    last = max(map(MODES.index, request.modes))
    modes = MODES[: last + 1]
    everything = audit(request.bundle, modes=modes, tolerances=request.tolerances, threads=request.threads)
    results = tuple(result for result in everything if result.mode in request.modes)
    if all(result.status == "not run" for result in results):
        reasons = ", ".join(f"{result.precision}/{result.mode} {result.reason}" for result in results)
        raise UsageError(f"nothing was run: {reasons}", where="--mode", hint="add --mode fp32, or use another machine")
    return results
