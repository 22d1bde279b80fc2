"""Picks a layer's kernel by measuring, once for each shape on each machine; `cache` keeps what was found.

A kernel that is wrong is never picked, however fast. Under emulation there are no times to pick by: nothing is
measured, kept, or recalled.
"""

from __future__ import annotations

import inspect
import platform
import statistics
import warnings
from dataclasses import asdict, dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from dwca_export import kernels
from dwca_export.emulation import emulation
from dwca_export.errors import DwcaExportError
from dwca_export.kernels.cache import on_this_machine, recall, remember
from dwca_export.kernels.measured_error import Truth
from dwca_export.system_files import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Unpack

    from dwca_export.kernels import Layer, Plan

_ROUNDS = 9
_SAMPLE_SECONDS = 5e-4


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


class Options(TypedDict, total=False):
    """What `kernels.plan` can be asked for besides the algorithm."""

    isa: str | None
    elempack: int | None
    storage: str
    arithmetic: str
    threads: int


def auto(layer: Layer, weight: np.ndarray, bias: np.ndarray | None = None, **options: Unpack[Options]) -> Plan:
    """The fastest kernel for a layer on this machine, as measured now or before.

    On an emulated CPU it is the kernel to take where nothing is known of the speed, `direct` if it can compute the
    layer, and a warning says so.

    Args:
        layer: The layer.
        weight: float32, `(C, K, K)`.
        bias: float32, `(C,)`, or None.
        options: As `kernels.plan`.

    Returns:
        A plan of that kernel with these weights.

    Raises:
        Unavailable: There is no native library, or no kernel for this combination.
        DwcaExportError: Every kernel is wrong here.
    """
    asked = _complete(options)
    if emulated := emulation(ROOT, platform.machine()):
        return _unmeasured(layer, weight, bias, asked, emulated)
    question = on_this_machine({"layer": asdict(layer) | {"bias": bias is not None}, "options": asked})
    algorithm = recall(question, kernels.algorithms(layer, asked["isa"], asked["arithmetic"]))
    if algorithm is None:
        candidates = measure(layer, weight, bias, asked)
        algorithm = best(candidates).algorithm
        remember(question, algorithm, [asdict(candidate) for candidate in candidates])
    return kernels.plan(layer, weight, bias, algorithm=algorithm, **asked)


def _unmeasured(
    layer: Layer, weight: np.ndarray, bias: np.ndarray | None, options: Mapping[str, Any], why: str
) -> Plan:
    algorithm = _possible(layer, options)[0]
    plan = kernels.plan(layer, weight, bias, algorithm=algorithm, **options)
    what = f"the CPU is emulated ({why}), and its times tell nothing of kernels; taking {algorithm} unmeasured"
    warnings.warn(f"kernels.auto: {what}", stacklevel=3)
    return plan


def _possible(layer: Layer, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The algorithms to try; where there is none, the attempt says why."""
    return kernels.algorithms(layer, options["isa"], options["arithmetic"]) or ("direct",)


def _complete(options: Options) -> dict[str, Any]:
    """With `kernels.plan`'s defaults, so that to name one is to ask the same."""
    parameters = inspect.signature(kernels.plan).parameters
    return {**{name: parameters[name].default for name in Options.__annotations__}, **options}


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


def measure(
    layer: Layer, weight: np.ndarray, bias: np.ndarray | None, options: Mapping[str, Any]
) -> tuple[Candidate, ...]:
    """Time every kernel that can compute the layer, in turns, and hold each to its error bound."""
    plans = _plans(layer, weight, bias, options)
    array = np.random.default_rng(0).standard_normal((layer.channels, layer.height, layer.width), np.float32)
    x = kernels.pack(array, next(iter(plans.values())).elempack, options["storage"])
    truth = Truth(layer, kernels.unpack(x, layer.channels), weight, bias, kernels.reference)
    outputs = {name: plan(x) for name, plan in plans.items()}
    errors = {
        name: truth.epsilons(kernels.unpack(y, layer.channels), options["arithmetic"]) for name, y in outputs.items()
    }
    times = _times(plans, x, outputs)
    return tuple(
        Candidate(
            name,
            statistics.median(times[name]),
            errors[name],
            kernels.error_bound(name, layer, options["storage"], options["arithmetic"]),
        )
        for name in plans
    )


def _plans(layer: Layer, weight: np.ndarray, bias: np.ndarray | None, options: Mapping[str, Any]) -> dict[str, Plan]:
    plans = {}
    refusal: DwcaExportError | None = None
    for algorithm in _possible(layer, options):
        try:
            plans[algorithm] = kernels.plan(layer, weight, bias, algorithm=algorithm, **options)
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
