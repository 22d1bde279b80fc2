"""The options of `dwca-bench`, each with what it accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from dwca_export import __version__


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"dwca-bench {__version__}")
        raise typer.Exit


def _show_include_dir(value: bool) -> None:
    if value:
        from dwca_export.kernels import include_dir

        typer.echo(include_dir())
        raise typer.Exit


Target: TypeAlias = Annotated[
    Path | None,
    typer.Argument(
        help="Folder that dwca-export wrote, or a .param with its .bin beside it.", metavar="BUNDLE_OR_PARAM"
    ),
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
Threads: TypeAlias = Annotated[int, typer.Option(help="Threads of the first variant.", min=1, max=1024, metavar="N")]
Variants: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="What to compare with the first variant, instead of each option alone: fp16-storage,no-packing+threads=2 "
        "for example; none for the first one only.",
        metavar="LIST",
    ),
]
Shape: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        help="Shape of an input, batch axis of 1 first: 1x3x224x224. Once per input, in order.",
        metavar="SHAPE",
    ),
]
AllLayers: TypeAlias = Annotated[
    bool, typer.Option("--all-layers", help="With --layers: show every layer, in order of execution.")
]
Rounds: TypeAlias = Annotated[
    int | None, typer.Option(help="Rounds at least. [default: 30]", min=1, max=1_000_000, metavar="N")
]
MinTime: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--min-time", help="Seconds for each variant at least. [default: 1]", min=0, max=86400, metavar="SECONDS"
    ),
]
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
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Debug: TypeAlias = Annotated[bool, typer.Option("--debug", help="Print tracebacks.")]
Version: TypeAlias = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
]
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
