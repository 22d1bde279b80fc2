"""The command `dwca-bench kernels`."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from dwca_export.cli import bench_kernels_options as own  # noqa: TC001  typer reads annotations at run time
from dwca_export.cli.bench_session import Work, measured
from dwca_export.cli.option_groups import with_group
from dwca_export.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dwca_export.bench.subject import Subject
    from dwca_export.bench.terms import Terms


@with_group
def kernels(
    target: own.Target = None,
    shape: own.Shape = None,
    kernel: own.Kernel = None,
    stride: own.Stride = None,
    padding: own.Padding = None,
    dilation: own.Dilation = None,
    bias: own.Bias = False,
    activation: own.Activation = None,
    storage: own.Storage = "fp32",
    arithmetic: own.Arithmetic = "fp32",
    elempack: own.Elempack = None,
    isa: own.Isa = None,
    algorithm: own.Algorithm = None,
    threads: own.Threads = 1,
    blocks: own.Blocks = True,
    frameworks: own.Frameworks = True,
    *,
    measuring: own.Measuring,
) -> int:
    """Measure depthwise kernels beside each other: ncnn's, ours, and those of frameworks that are installed.

    Of a network's layers, of layers given by --shape, or of some usual ones. It ends with a verdict: whether ncnn uses
    Winograd, whether Winograd would pay, which kernel is best, and what a 5x5 block with attention costs.
    """

    def prepare() -> Work:
        from dwca_export.bench.kernels import bench_kernels, check_threads
        from dwca_export.report.kernels_text import kernels_text

        form = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        form |= {"bias": bias or None, "activation": activation}
        check_threads(threads)
        subjects, described, notes = _subjects(target, shape, form)
        terms = _terms(storage, arithmetic, elempack, isa, algorithm, threads, frameworks, subjects)
        measure = partial(
            bench_kernels,
            subjects,
            terms,
            target=described,
            notes=notes,
            blocks=blocks,
            started=_say_nothing if measuring.quiet or not sys.stderr.isatty() else _say,
        )
        return Work(measure, kernels_text, threads)

    return measured(measuring, prepare)


def _subjects(
    path: Path | None, shape: list[str] | None, form: Mapping[str, Any]
) -> tuple[tuple[Subject, ...], dict[str, Any], tuple[str, ...]]:
    """The layers to measure, where they come from, and notes on them."""
    from dwca_export.bench.subject import STANDARD, of_shape
    from dwca_export.cli.bench_layer_shapes import parse_layer
    from dwca_export.kernels.layer import ACTIVATIONS

    given = {name: value for name, value in form.items() if value is not None}
    if path is not None:
        return _of_network(path, shape, given)
    if not shape:
        _refuse_form(given, "name a --shape for it, such as 64x56x56")
        return tuple(map(of_shape, STANDARD)), {"name": "usual layers"}, ()
    _check_choice("--activation", given.get("activation", "none"), ACTIVATIONS)
    layers = tuple(dict.fromkeys(parse_layer(text, given) for text in shape))
    return tuple(map(of_shape, layers)), {"name": "given layers"}, ()


def _of_network(
    path: Path, shape: list[str] | None, given: Mapping[str, Any]
) -> tuple[tuple[Subject, ...], dict[str, Any], tuple[str, ...]]:
    from dwca_export.bench.network_subjects import network_subjects
    from dwca_export.bench.target import open_target
    from dwca_export.shapes import parse_shape

    _refuse_form(given, "a network brings its layers; leave it out, or name no network")
    target = open_target(path, [parse_shape(text) for text in shape or ()])
    subjects, notes = network_subjects(target)
    return subjects, target.describe(), (*target.notes, *notes)


def _refuse_form(given: Mapping[str, Any], hint: str) -> None:
    if given:
        raise UsageError("describes a layer that is given by --shape", where=f"--{next(iter(given))}", hint=hint)


def _terms(
    storage: str,
    arithmetic: str,
    elempack: int | None,
    isa: str | None,
    algorithm: list[str] | None,
    threads: int,
    frameworks: bool,
    subjects: Sequence[Subject],
) -> Terms:
    from dwca_export.bench.entrants import AUTO, STORAGE_EPSILON, algorithms_of
    from dwca_export.bench.foreign import FRAMEWORKS
    from dwca_export.bench.terms import ISAS, Precision, Terms
    from dwca_export.kernels.bounds import EPSILON
    from dwca_export.kernels.layouts import ELEMPACKS

    _check_choice("--storage", storage, tuple(STORAGE_EPSILON))
    _check_choice("--arithmetic", arithmetic, tuple(EPSILON))
    _check_choice("--isa", isa or ISAS[0], ISAS)
    _check_choice("--elempack", elempack or 1, ELEMPACKS)
    known = dict.fromkeys([*(name for subject in subjects for name in algorithms_of(subject.layer)), AUTO])
    names = _algorithms(algorithm, tuple(known)) if algorithm else None
    return Terms(Precision(storage, arithmetic), elempack, isa, threads, names, tuple(FRAMEWORKS) if frameworks else ())


def _check_choice(option: str, value: object, known: Sequence[object]) -> None:
    if value not in known:
        raise UsageError(f"{value!r} is unknown", where=option, hint=f"there are {', '.join(map(str, known))}")


def _algorithms(given: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Names by themselves or by their first words: `winograd_1d` is all of these."""
    found: dict[str, None] = {}
    for text in given:
        named = [name for name in known if name == text or name.startswith(f"{text} ")]
        if not named:
            _check_choice("--algorithm", text, known)
        found.update(dict.fromkeys(named))
    return tuple(found)


def _say(what: str) -> None:
    print(f"measuring {what} ...", file=sys.stderr, flush=True)  # noqa: T201


def _say_nothing(_: str) -> None:
    pass
