"""The ways in which a network can be run: ncnn's options, and how they are named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dwca_export.errors import UsageError
from dwca_export.runners.ncnn import MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

POWERSAVE = ("all", "little", "big")
"""Cores that ncnn uses, in the order of `ncnn::set_cpu_powersave`."""

_SWITCHES = {"no-winograd": "winograd", "no-packing": "packing", "no-sgemm": "sgemm"}
_THREADS_EACH = 8


@dataclass(frozen=True)
class Variant:
    """One way to run a network.

    Attributes:
        mode: Precision of ncnn's arithmetic; see `NcnnRunner`.
        threads: Threads that ncnn may use.
        weights: Which weight file: `fp32` or `fp16`.
        winograd: Whether ncnn may use Winograd; only dense 3x3 convolutions do.
        packing: Whether ncnn may pack channels.
        sgemm: Whether ncnn may compute convolutions as matrix products.
        cores: One of `POWERSAVE`.
    """

    mode: str = "fp32"
    threads: int = 1
    weights: str = "fp32"
    winograd: bool = True
    packing: bool = True
    sgemm: bool = True
    cores: str = "all"

    @property
    def name(self) -> str:
        """The mode, and what differs from ncnn's ways on one thread: `fp32+threads=2+no-winograd`."""
        given = [self.mode]
        given += [f"threads={self.threads}"] if self.threads != 1 else []
        given += [f"weights={self.weights}"] if self.weights != "fp32" else []
        given += [switch for switch, name in _SWITCHES.items() if not getattr(self, name)]
        given += [f"powersave={self.cores}"] if self.cores != "all" else []
        return "+".join(given)


def parse_variant(text: str, base: Variant) -> Variant:
    """Read a variant: what differs from another, joined by `+`.

    Args:
        text: As `Variant.name`, the mode may be left out: `no-packing`, `bf16-storage+threads=2`.
        base: The other.

    Raises:
        UsageError: It is none.
    """
    changes: dict[str, Any] = {}
    for word in text.strip().split("+"):
        field, value = _parse_word(word.strip())
        if field in changes:
            raise UsageError(f"{text!r} sets {field} twice", where="--variants", hint=_hint())
        changes[field] = value
    return replace(base, **changes)


def _parse_word(word: str) -> tuple[str, Any]:
    if word in MODES:
        return "mode", word
    if word in _SWITCHES:
        return _SWITCHES[word], False
    name, _, value = word.partition("=")
    field, read = _VALUES.get(name, ("", None))
    parsed = read(value) if read else None
    if parsed is None:
        raise UsageError(f"{word!r} is no variant", where="--variants", hint=_hint())
    return field, parsed


def _threads(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else None


_VALUES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "threads": ("threads", _threads),
    "weights": ("weights", lambda text: text if text in ("fp32", "fp16") else None),
    "powersave": ("cores", lambda text: text if text in POWERSAVE else None),
}


def _hint() -> str:
    words = (*MODES, *_SWITCHES, "threads=N", "weights=fp16", "powersave=little", "powersave=big")
    return f"join by + what differs: {', '.join(words)}"


def usual_variants(base: Variant, cpus: int, weights: Sequence[str]) -> tuple[Variant, ...]:
    """The variants that are measured unless others are asked for: each option changed alone.

    Args:
        base: What they differ from; it comes first.
        cpus: How many threads there can be.
        weights: The weight files there are.
    """
    changed = [
        *(replace(base, threads=count) for count in _thread_counts(cpus)),
        *(replace(base, mode=mode) for mode in MODES),
        *(replace(base, weights=kind) for kind in weights),
        replace(base, winograd=False),
        replace(base, packing=False),
        replace(base, sgemm=False),
        *(replace(base, cores=cores) for cores in POWERSAVE),
    ]
    return tuple(dict.fromkeys([base, *changed]))


def _thread_counts(cpus: int) -> list[int]:
    """Every count on small machines; powers of two and all on large ones."""
    if cpus <= _THREADS_EACH:
        return list(range(1, cpus + 1))
    return [*(1 << bit for bit in range(cpus.bit_length()) if 1 << bit < cpus), cpus]


def check_threads(variants: Sequence[Variant], cpus: int) -> None:
    """Refuse more threads than there are CPUs: they would wait for each other.

    Raises:
        UsageError: Naming the number.
    """
    most = max(variant.threads for variant in variants)
    if most > cpus:
        what = f"{most} threads on {cpus} {'CPU' if cpus == 1 else 'CPUs'} that this process may use"
        raise UsageError(what, where="threads", hint=f"at most {cpus}")
