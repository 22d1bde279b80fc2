"""The options of `dwca-bench`, each with what it accepts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from dwca_export.cli.options import AsJson, Debug, Quiet, threads_of, version_of


def _show_include_dir(value: bool) -> None:
    if value:
        from dwca_export.kernels import include_dir

        typer.echo(include_dir())
        raise typer.Exit


def network(text: str) -> Any:
    """The argument that names a network, with its help."""
    return typer.Argument(help=text, metavar="BUNDLE_OR_PARAM")


def shapes(text: str) -> Any:
    """The option for shapes, with its help."""
    return typer.Option("--shape", help=text, metavar="SHAPE")


def min_time(text: str) -> Any:
    """The option for the shortest time to measure for, with its help."""
    return typer.Option("--min-time", help=text, min=0, max=86400, metavar="SECONDS")


Target: TypeAlias = Annotated[
    Path | None, network("Folder that dwca-export wrote, or a .param with its .bin beside it.")
]
Layers: TypeAlias = Annotated[
    bool, typer.Option("--layers", help="Time every layer in the network, instead of the network in variants.")
]
Mode: TypeAlias = Annotated[
    str,
    typer.Option(
        help="Precision of the first variant: fp32, fp16-storage, fp16-arithmetic or bf16-storage.", metavar="MODE"
    ),
]
Threads: TypeAlias = Annotated[int, threads_of("Threads of the first variant.")]
Variants: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="What to compare with the first variant, instead of each option alone: fp16-storage,no-packing+threads=2 "
        "for example; none for the first one only.",
        metavar="LIST",
    ),
]
Shape: TypeAlias = Annotated[
    list[str] | None, shapes("Shape of an input, batch axis of 1 first: 1x3x224x224. Once per input, in order.")
]
AllLayers: TypeAlias = Annotated[
    bool, typer.Option("--all-layers", help="With --layers: show every layer, in order of execution.")
]
Rounds: TypeAlias = Annotated[
    int | None, typer.Option(help="Rounds at least. [default: 30]", min=1, max=1_000_000, metavar="N")
]
MinTime: TypeAlias = Annotated[float | None, min_time("Seconds for each variant at least. [default: 1]")]
Quick: TypeAlias = Annotated[
    bool, typer.Option("--quick", help="10 rounds and 0.1 s, unless said otherwise; without BUNDLE_OR_PARAM: kernels.")
]
Cooldown: TypeAlias = Annotated[
    float, typer.Option(help="Seconds of rest before each round.", min=0, max=3600, metavar="SECONDS")
]
RequireStable: TypeAlias = Annotated[
    bool, typer.Option("--require-stable", help="No verdict, and exit code 6, on a machine that is too restless.")
]
Save: TypeAlias = Annotated[
    Path | None, typer.Option(help="Write the JSON document, while measuring too.", metavar="FILE")
]
Csv: TypeAlias = Annotated[
    Path | None, typer.Option(help="Write the rows as CSV, while measuring too.", metavar="FILE")
]
Pyperf: TypeAlias = Annotated[
    Path | None, typer.Option(help="Write the samples as pyperf reads them, while measuring too.", metavar="FILE")
]
Version: TypeAlias = Annotated[bool, version_of("dwca-bench")]
IncludeDir: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--include-dir", callback=_show_include_dir, is_eager=True, help="Print where the kernels' C++ headers are."
    ),
]

Old: TypeAlias = Annotated[Path, typer.Argument(help="Older JSON document of dwca-bench.", metavar="OLD")]
New: TypeAlias = Annotated[Path, typer.Argument(help="Newer one.", metavar="NEW")]
FailIfSlower: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--fail-if-slower",
        help="Exit with code 7 if anything is slower by more than this, beyond chance: 5% for example.",
        metavar="PERCENT",
    ),
]
Force: TypeAlias = Annotated[
    bool, typer.Option("--force", help="Compare also what comes from different machines, or lacks rows.")
]


@dataclass(frozen=True)
class Measuring:
    """How a command measures, and where its result goes."""

    rounds: Rounds = None
    min_time: MinTime = None
    quick: Quick = False
    cooldown: Cooldown = 0.0
    require_stable: RequireStable = False
    save: Save = None
    csv: Csv = None
    pyperf: Pyperf = None
    as_json: AsJson = False
    quiet: Quiet = False
    debug: Debug = False
