"""Picks a layer's kernel by measuring, once for each shape on each machine.

What was found lies in the user's cache folder (`$DWCA_CACHE_DIR`, else `$XDG_CACHE_HOME/dwca-export`, else
`~/.cache/dwca-export`), one small JSON file for each question. The question (the layer, how it is laid out and
computed, the processor, and the native library itself) is part of the file's name and stands in it, so that an answer
of another processor, or of another build, is not found or not believed. A kernel that is wrong is never picked,
however fast.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import statistics
import tempfile
import warnings
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export import kernels
from dwca_export.errors import DwcaExportError
from dwca_export.kernels.measured_error import Truth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwca_export.kernels import Layer, Plan

SCHEMA = 1
CACHE_DIR = "DWCA_CACHE_DIR"

_ROUNDS = 9
_SAMPLE_SECONDS = 5e-4

# What tells processors apart: x86 names the model, ARM the designer's number of the core.
_CPU_LINES = ("model name", "cpu implementer", "cpu part", "cpu variant", "cpu revision")


@dataclass(frozen=True)
class Candidate:
    """A kernel that was measured.

    Attributes:
        algorithm: Its name.
        seconds: Median time of a call.
        error: Its largest error in epsilons.
        bound: What that error may be.
    """

    algorithm: str
    seconds: float
    error: float
    bound: float

    @property
    def is_right(self) -> bool:
        """Whether it computes what it should."""
        return self.error <= self.bound


def auto(
    layer: Layer,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    isa: str | None = None,
    elempack: int | None = None,
    storage: str = "fp32",
    arithmetic: str = "fp32",
    threads: int = 1,
) -> Plan:
    """The fastest kernel for a layer on this machine, as measured now or before.

    Args:
        layer: The layer.
        weight: float32, `(C, K, K)`.
        bias: float32, `(C,)`, or None.
        isa: As `kernels.plan`; so are all that follow.
        elempack: Numbers of a pixel's channels that lie together.
        storage: How input and output are kept.
        arithmetic: What sums are computed in.
        threads: How many work on it.

    Returns:
        A plan of that kernel with these weights.

    Raises:
        Unavailable: There is no native library, or no kernel for this combination.
        DwcaExportError: Every kernel is wrong here.
    """
    options = _Options(isa, elempack, storage, arithmetic, threads)
    question = _question(layer, bias is not None, options)
    algorithm = _recall(question, kernels.algorithms(layer, isa, arithmetic))
    if algorithm is None:
        candidates = measure(layer, weight, bias, options)
        algorithm = best(candidates).algorithm
        _remember(question, candidates, algorithm)
    return options.plan(layer, weight, bias, algorithm)


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The fastest of those that compute what they should.

    Raises:
        DwcaExportError: None does.
    """
    right = [candidate for candidate in candidates if candidate.is_right]
    if not right:
        worst = ", ".join(f"{one.algorithm} {one.error:.3g} of {one.bound:.3g}" for one in candidates)
        raise DwcaExportError(
            f"no kernel computes the layer within its error bound (in epsilons: {worst})",
            where="kernels",
            hint="report it with your processor's name; algorithm='generic' is the plainest kernel",
        )
    return min(right, key=lambda candidate: candidate.seconds)


@dataclass(frozen=True)
class _Options:
    """What is left open to `kernels.plan` besides the algorithm."""

    isa: str | None
    elempack: int | None
    storage: str
    arithmetic: str
    threads: int

    def plan(self, layer: Layer, weight: np.ndarray, bias: np.ndarray | None, algorithm: str) -> Plan:
        return kernels.plan(layer, weight, bias, algorithm=algorithm, **asdict(self))


def measure(layer: Layer, weight: np.ndarray, bias: np.ndarray | None, options: _Options) -> tuple[Candidate, ...]:
    """Time every kernel that can compute the layer, in turns, and hold each to its error bound."""
    plans = _plans(layer, weight, bias, options)
    array = np.random.default_rng(0).standard_normal((layer.channels, layer.height, layer.width), np.float32)
    x = kernels.pack(array, next(iter(plans.values())).elempack, options.storage)
    truth = Truth(layer, kernels.unpack(x, layer.channels), weight, bias, kernels.reference)
    outputs = {name: plan(x) for name, plan in plans.items()}
    errors = {
        name: truth.epsilons(kernels.unpack(y, layer.channels), options.arithmetic) for name, y in outputs.items()
    }
    times = _times(plans, x, outputs)
    return tuple(
        Candidate(
            name,
            statistics.median(times[name]),
            errors[name],
            kernels.error_bound(name, layer, options.storage, options.arithmetic),
        )
        for name in plans
    )


def _plans(layer: Layer, weight: np.ndarray, bias: np.ndarray | None, options: _Options) -> dict[str, Plan]:
    plans = {}
    refusal: DwcaExportError | None = None
    # Where there is none, the attempt says why.
    for algorithm in kernels.algorithms(layer, options.isa, options.arithmetic) or ("direct",):
        try:
            plans[algorithm] = options.plan(layer, weight, bias, algorithm)
        except kernels.UnavailableError as unavailable:  # noqa: PERF203  a few times, once a shape
            refusal = refusal or unavailable
    if not plans and refusal:
        raise refusal
    return plans


def _times(plans: dict[str, Plan], x: np.ndarray, outputs: dict[str, np.ndarray]) -> dict[str, list[float]]:
    calls = {
        name: max(1, ceil(_SAMPLE_SECONDS / max(plan.time(x, outputs[name], 1), 1e-7))) for name, plan in plans.items()
    }
    times: dict[str, list[float]] = {name: [] for name in plans}
    for _ in range(_ROUNDS):
        for name, plan in plans.items():
            times[name].append(plan.time(x, outputs[name], calls[name]) / calls[name])
    return times


def cache_folder() -> Path:
    """Where answers are kept.

    Raises:
        RuntimeError: The user has no home.
    """
    if own := os.environ.get(CACHE_DIR):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dwca-export"


def _question(layer: Layer, has_bias: bool, options: _Options) -> dict[str, Any]:
    """All that the answer depends on, in the form in which JSON gives it back."""
    question = {
        "schema": SCHEMA,
        "layer": asdict(layer) | {"bias": has_bias},
        "options": asdict(options),
        "machine": {"cpu": cpu_identity(), "isas": kernels.isas(), "library": _library_identity()},
    }
    given_back: dict[str, Any] = json.loads(json.dumps(question))
    return given_back


def cpu_identity(path: Path = Path("/proc/cpuinfo")) -> list[str]:
    """What tells this processor from others, each distinct line once.

    Args:
        path: What Linux says about it.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    pairs = (line.partition(":")[::2] for line in lines)
    found = {f"{key.strip()}: {value.strip()}" for key, value in pairs if key.strip().lower() in _CPU_LINES}
    return sorted(found) or [platform.machine(), platform.processor()]


def _library_identity() -> str:
    """A hash of the native library: another build may be fast at something else."""
    spec = importlib.util.find_spec("dwca_export.kernels._native")
    library = Path(spec.origin).read_bytes() if spec and spec.origin else b""
    return hashlib.sha256(library).hexdigest()[:16]


def _path(question: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]
    return cache_folder() / f"kernel-{digest}.json"


def _recall(question: dict[str, Any], algorithms: Sequence[str]) -> str | None:
    """What was found before, None if nothing was or it cannot be believed."""
    try:
        path = _path(question)
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        _warn(f"what was measured before cannot be read ({error}); measuring again")
        return None
    try:
        answer = json.loads(text)
        if answer["question"] == question and answer["algorithm"] in algorithms:
            return str(answer["algorithm"])
    except (ValueError, KeyError, TypeError):
        pass
    _warn(f"{path} is damaged or answers another question; measuring again")
    return None


def _remember(question: dict[str, Any], candidates: Sequence[Candidate], algorithm: str) -> None:
    """Write what was found; the file appears whole or not at all, whoever else writes it at the same time."""
    answer = {"question": question, "algorithm": algorithm, "measured": [asdict(one) for one in candidates]}
    try:
        path = _path(question)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=path.stem, suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(answer, file, indent=2)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except (OSError, RuntimeError) as error:
        _warn(f"what was measured cannot be kept ({error}); it will be measured again next time")


def _warn(what: str) -> None:
    warnings.warn(f"kernels.auto: {what}; set {CACHE_DIR} to another folder if this comes back", stacklevel=4)
