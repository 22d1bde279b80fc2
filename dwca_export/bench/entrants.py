"""Who takes part in the measurement of a depthwise layer: ncnn, each kernel of ours, and other frameworks.

Each is prepared before anything is timed: it computes its output once, which tells how wrong it is, and whether it is
there at all.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from dwca_export import kernels
from dwca_export.bench.foreign import FRAMEWORKS
from dwca_export.bench.schedule import Case
from dwca_export.bench.slope import Setting, respite
from dwca_export.bench.stock import dense_control, stock_output, stock_piece, stock_slope, uses_winograd
from dwca_export.bench.terms import Precision
from dwca_export.errors import DwcaExportError
from dwca_export.kernels.auto import auto
from dwca_export.kernels.bounds import EPSILON
from dwca_export.kernels.measured_error import Truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dwca_export.bench.slope import Slope
    from dwca_export.bench.subject import Subject
    from dwca_export.bench.terms import Terms

    Maker: TypeAlias = tuple[str, Callable[[], "Entrant"]]

STOCK = "ncnn"
WITHOUT_WINOGRAD = "ncnn, Winograd off"
AUTO = "auto"

STORAGE_EPSILON = {"fp32": 0.0, "fp16": float(np.finfo(np.float16).eps), "bf16": 2.0**-7}
"""Of what rounds weights and outputs besides the arithmetic."""

_ALWAYS = ("direct", "generic")
"""Kernels of ours that any machine has where the native library is; where it is not, they tell why."""

_SAMPLE_SECONDS = 1e-3
_SHORTEST_CALL = 1e-7
# ncnn's threads wait for work in a loop before they sleep: for so long they would take time from ours.
_SPINNING_SECONDS = 0.02


@dataclass(frozen=True)
class Entrant:
    """One that takes part.

    Attributes:
        name: Of its row.
        case: What times it, None if it cannot take part.
        output: What it computed, `(C, OH, OW)`.
        bound: What its error may be, in epsilons.
        unavailable: Why it cannot take part.
        facts: What else its row tells.
    """

    name: str
    case: Case | None = None
    output: np.ndarray | None = None
    bound: float = 0.0
    unavailable: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Field:
    """All that take part in the measurement of one layer.

    Attributes:
        subject: The layer.
        truth: What it should compute.
        entrants: In the order in which they run.
    """

    subject: Subject
    truth: Truth
    entrants: tuple[Entrant, ...]


@contextlib.contextmanager
def entered(subject: Subject, terms: Terms) -> Iterator[Field]:
    """Prepare all that take part, and free what they hold in the end.

    Args:
        subject: The layer.
        terms: What all keep to.
    """
    layer = subject.layer
    array = np.random.default_rng(1).standard_normal((layer.channels, layer.height, layer.width), np.float32)
    array = rounded(array, terms.precision.storage)
    truth = Truth(layer, array, subject.weight, subject.bias, kernels.reference)
    with contextlib.ExitStack() as stack:
        makers = (*_stock(subject, terms, array, stack), *_ours(subject, terms, array), *_others(subject, terms, array))
        yield Field(subject, truth, tuple(_tried(name, make) for name, make in makers))


def rounded(array: np.ndarray, storage: str) -> np.ndarray:
    """float32 values that the storage holds exactly, so that its input costs no kernel any error."""
    return kernels.unpack(kernels.pack(array, 1, storage), len(array))


def _tried(name: str, make: Callable[[], Entrant]) -> Entrant:
    try:
        return make()
    except DwcaExportError as error:
        return Entrant(name, unavailable=error.what)


def _stock(subject: Subject, terms: Terms, array: np.ndarray, stack: contextlib.ExitStack) -> list[Maker]:
    piece = stock_piece(subject.layer, subject.weight, subject.bias)

    slopes: list[Slope] = []

    def entrant(name: str, setting: Setting, facts: Callable[[], Mapping[str, Any]]) -> Entrant:
        output = stock_output(piece, array, setting)
        more = slopes[0].more if slopes else None  # the same for both, which are to be compared
        timed = stock_slope(subject.layer, subject.weight, subject.bias, array, setting, more)
        slopes.append(stack.enter_context(timed))
        return Entrant(name, Case(name, timed.seconds), output, _foreign_bound(subject, terms.precision), facts=facts())

    def proof() -> Mapping[str, Any]:
        return {
            "winograd_changes_bits": uses_winograd(piece, array, usual),
            "winograd_changes_bits_of_dense": uses_winograd(*dense_control(), Setting(threads=terms.threads)),
        }

    usual = terms.setting
    return [
        (STOCK, lambda: entrant(STOCK, usual, dict)),
        (WITHOUT_WINOGRAD, lambda: entrant(WITHOUT_WINOGRAD, replace(usual, winograd=False), proof)),
    ]


def _ours(subject: Subject, terms: Terms, array: np.ndarray) -> list[Maker]:
    layer = subject.layer
    options: dict[str, Any] = {
        "isa": terms.isa,
        "elempack": terms.elempack,
        "storage": terms.precision.storage,
        "arithmetic": terms.precision.arithmetic,
        "threads": terms.threads,
    }

    def entrant(name: str, plan: kernels.Plan, facts: Mapping[str, Any]) -> Entrant:
        x = kernels.pack(array, plan.elempack, terms.precision.storage)
        y = plan(x)
        bound = kernels.error_bound(plan.algorithm, layer, terms.precision.storage, terms.precision.arithmetic)
        case = Case(name, _native(plan, x, y.copy()))
        return Entrant(name, case, kernels.unpack(y, layer.channels), bound, facts=facts)

    def of_algorithm(name: str) -> Entrant:
        return entrant(name, kernels.plan(layer, subject.weight, subject.bias, algorithm=name, **options), {})

    def chosen() -> Entrant:
        plan = auto(layer, subject.weight, subject.bias, **options)
        return entrant(AUTO, plan, {"algorithm": plan.algorithm})

    makers: list[Maker] = [(name, partial(of_algorithm, name)) for name in _algorithms(layer, terms)]
    return [*makers, (AUTO, chosen)] if terms.algorithms is None or AUTO in terms.algorithms else makers


def algorithms_of(layer: kernels.Layer) -> tuple[str, ...]:
    """The kernels of ours that can be asked for: those that this machine has, whatever the terms are."""
    return _ALWAYS if kernels.missing() else kernels.algorithms(layer)


def _algorithms(layer: kernels.Layer, terms: Terms) -> Sequence[str]:
    """The kernels of ours that have a row: those asked for, else those that can keep to the terms."""
    if terms.algorithms is not None:
        return [name for name in algorithms_of(layer) if name in terms.algorithms]
    try:
        return kernels.algorithms(layer, terms.isa, terms.precision.arithmetic) or _ALWAYS
    except kernels.UnavailableError:
        return _ALWAYS


def _native(plan: kernels.Plan, x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    """Times calls in a native loop, after one that brings the tensors back into the cache."""
    once = max(min(plan.time(x, y, 1) for _ in range(3)), _SHORTEST_CALL)
    calls = ceil(_SAMPLE_SECONDS / once)
    before = ceil(_SPINNING_SECONDS / once) if plan.threads > 1 else 1

    def run() -> float:
        plan.time(x, y, before)
        respite()
        return plan.time(x, y, calls) / calls

    return run


def _others(subject: Subject, terms: Terms, array: np.ndarray) -> list[Maker]:
    def entrant(name: str) -> Entrant:
        try:
            framework = FRAMEWORKS[name](subject, array, terms.threads)
        except DwcaExportError:
            raise
        except Exception as error:  # somebody else's: whatever it is, the others go on
            raise DwcaExportError(f"fails with {type(error).__name__}: {error}", where=name) from error
        facts = {"note": framework.note}
        bound = _foreign_bound(subject, Precision())
        return Entrant(name, Case(name, framework.seconds), framework.output, bound, facts=facts)

    if terms.precision != Precision():
        return []  # they are run in fp32 alone
    return [(name, partial(entrant, name)) for name in terms.frameworks if FRAMEWORKS[name].is_installed()]


def _foreign_bound(subject: Subject, precision: Precision) -> float:
    """What somebody else's kernel may err: rounding of every product and sum, and of what it may store in less.

    Weights, bias and output are each rounded once to the storage, by half an epsilon; Hardswish multiplies errors by up
    to 1.5.
    """
    terms = subject.layer.kernel**2 + 2
    stored = 2 * STORAGE_EPSILON[precision.storage] / EPSILON[precision.arithmetic]
    return 1.5 * (terms + stored)
