"""The options of `dwca-parity`, each with what it accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from dwca_export.cli.options import threads_of, version_of

Bundle: TypeAlias = Annotated[Path, typer.Argument(help="Folder that dwca-export wrote.", metavar="BUNDLE")]
Modes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--mode",
        help="Precision of ncnn's arithmetic: fp32, fp16-storage, fp16-arithmetic or bf16-storage; repeat for more. "
        "[default: all]",
        metavar="MODE",
    ),
]
Threads: TypeAlias = Annotated[int, threads_of("Threads that ncnn may use.")]
Images: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Your data, on which the modes are compared with fp32: a folder of images, a .npy or a .npz.",
        metavar="PATH",
    ),
]
Tolerances: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--tolerance", help="Set a tolerance, as in fp32.relative_l2=0.001; repeat for more.", metavar="NAME=VALUE"
    ),
]
Paths: TypeAlias = Annotated[
    bool, typer.Option("--paths", help="Also say which kernels ncnn takes, on this and on other machines.")
]
Ranges: TypeAlias = Annotated[
    bool, typer.Option("--ranges", help="Also hold the numbers in every layer to the range of fp16.")
]
FixPrecision: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Find the fewest layers that have to compute in fp32 for this mode to pass, write a bundle in which they "
        "do, and judge that.",
        metavar="MODE",
    ),
]
Out: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="With --fix-precision: folder for the new bundle. [default: beside the old one]", metavar="DIR"),
]
Force: TypeAlias = Annotated[
    bool, typer.Option("--force", help="With --fix-precision: replace a bundle that is there already.")
]
AllowOlder: TypeAlias = Annotated[
    bool, typer.Option("--allow-older-ncnn", help="Use an ncnn that is older than the one that made the bundle.")
]
AllLayers: TypeAlias = Annotated[bool, typer.Option("--all-layers", help="Show every layer, not the worst only.")]
Junit: TypeAlias = Annotated[Path | None, typer.Option(help="Write a JUnit report.", metavar="FILE")]
Version: TypeAlias = Annotated[bool, version_of("dwca-parity")]
