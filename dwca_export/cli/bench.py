"""The command `dwca-bench`."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from dwca_export.cli import bench_options as options  # noqa: TC001  typer reads annotations at run time
from dwca_export.cli.bench_kernels import kernels
from dwca_export.cli.bench_session import Work, measured
from dwca_export.cli.option_groups import with_group
from dwca_export.cli.options import AsJson, Debug, Interrupts, Quiet, end, run, start
from dwca_export.errors import SlowerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dwca_export.bench.variants import Variant

_EPILOG = (
    "Exit codes: 0 done, 1 internal error, 2 usage, 3 bundle or data refused, 4 ncnn does not run the network, "
    "6 machine too restless for --require-stable, 7 slower than --fail-if-slower allows, 130 interrupted."
)
_DEFAULT = "model"
_OF_THE_GROUP = ("--help", "--version", "--include-dir")


class _WithDefault(TyperGroup):
    """A group of commands, of which one needs no name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in _OF_THE_GROUP):
            args = [_DEFAULT, *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    cls=_WithDefault,
    subcommand_metavar="BUNDLE_OR_PARAM [OPTIONS] | COMMAND [ARGS]...",
)


@app.callback(epilog=_EPILOG)
def group(
    version: options.Version = False,
    include_dir: options.IncludeDir = False,
) -> None:
    """Measure on this machine how long networks, their layers, and depthwise kernels take.

    Without the name of a command it measures a network: `dwca-bench model --help` has the options.
    """


@app.command(_DEFAULT, epilog=_EPILOG)
@with_group
def model(
    target: options.Target = None,
    layers: options.Layers = False,
    mode: options.Mode = "fp32",
    threads: options.Threads = 1,
    variants: options.Variants = None,
    shape: options.Shape = None,
    all_layers: options.AllLayers = False,
    *,
    measuring: options.Measuring,
) -> int:
    """Measure a network in variants, or its layers; this is what `dwca-bench BUNDLE_OR_PARAM` does."""

    def prepare() -> Work:
        if target is None:
            raise UsageError("no network is named", where="command line", hint="dwca-bench BUNDLE_OR_PARAM, or --quick")
        return _work(target, shape, layers, all_layers, mode, threads, variants)

    if target is None and measuring.quick:  # the kernels of the usual layers, with the same options
        words = sys.argv[2:] if sys.argv[1] == _DEFAULT else sys.argv[1:]
        return int(typer.main.get_command(app)(["kernels", *words], standalone_mode=False))
    return measured(measuring, prepare)


app.command("kernels", epilog=_EPILOG)(kernels)


@app.command(epilog=_EPILOG)
def compare(
    old: options.Old,
    new: options.New,
    fail_if_slower: options.FailIfSlower = None,
    force: options.Force = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Compare two results, as a gate for changes: what became slower, beyond chance?"""
    code = 0

    def command(_: Interrupts) -> None:
        nonlocal code
        from dwca_export.bench.compare import compare, describe_comparison, read_document
        from dwca_export.cli.bench_output import Output, say
        from dwca_export.report.bench_text import comparison_text

        threshold = _percent(fail_if_slower)
        comparison = compare(read_document(old), read_document(new), force=force)
        document = describe_comparison(comparison, threshold)
        Output(as_json=as_json, quiet=quiet).show(document, lambda width: comparison_text(document, width=width))
        slower = comparison.slower(threshold) if threshold is not None else ()
        if slower:
            worst = max(slower, key=lambda row: row.ratio.value)
            what = (
                f"{len(slower)} of {len(comparison.rows)} rows are slower, {worst.name} by {worst.ratio.value - 1:.1%}"
            )
            code = say(
                SlowerError(what, where=f"--fail-if-slower {fail_if_slower}", hint="measure both again to be sure")
            )

    return run(command, as_json=as_json, debug=debug) or code


def _work(
    path: Path,
    shape: list[str] | None,
    layers: bool,
    all_layers: bool,
    mode: str,
    threads: int,
    named: str | None,
) -> Work:
    from dwca_export.bench.layers import bench_layers
    from dwca_export.bench.model import bench_model
    from dwca_export.bench.target import open_target
    from dwca_export.report.bench_text import bench_text
    from dwca_export.shapes import parse_shape

    if layers and named:
        raise UsageError(
            "layers are timed in one variant", where="--variants", hint="choose it with --mode and --threads"
        )
    if all_layers and not layers:
        raise UsageError("is for --layers alone", where="--all-layers", hint="add --layers, or leave it out")
    shapes = [parse_shape(text) for text in shape or ()]
    _check_name(path)
    target = open_target(path, shapes)
    chosen = _variants(mode, threads, named, tuple(target.bins))
    text = partial(bench_text, all_layers=all_layers)
    if layers:
        return Work(partial(bench_layers, target, chosen[0]), text, threads)
    return Work(partial(bench_model, target, chosen), text, max(variant.threads for variant in chosen))


def _check_name(path: Path) -> None:
    if str(path) in ("kernels", "compare", _DEFAULT) and not path.exists():
        hint = f"the name of a command comes first: dwca-bench {path} ..."
        raise UsageError(f"there is no file or folder {path}", where="command line", hint=hint)


def _variants(mode: str, threads: int, named: str | None, weights: Sequence[str]) -> tuple[Variant, ...]:
    from dwca_export.bench.conditions import usable_cpus
    from dwca_export.bench.variants import Variant, check_threads, parse_variant, usual_variants
    from dwca_export.runners.ncnn import MODES

    if mode not in MODES:
        raise UsageError(f"{mode!r} is unknown", where="--mode", hint=f"there are {', '.join(MODES)}")
    first = Variant(mode, threads, weights[0])
    cpus = len(usable_cpus())
    if named is None:
        chosen = usual_variants(first, cpus, weights)
    else:
        others = [] if named == "none" else [parse_variant(word, first) for word in named.split(",")]
        chosen = tuple(dict.fromkeys([first, *others]))
    check_threads(chosen, cpus)
    return chosen


def _percent(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text.removesuffix("%")) / 100 if text.endswith("%") else -1.0
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UsageError(f"{text!r} is no percentage", where="--fail-if-slower", hint="for example 5%")
    return value


def main() -> None:
    """Entry point."""
    end(start(app))


if __name__ == "__main__":
    main()
