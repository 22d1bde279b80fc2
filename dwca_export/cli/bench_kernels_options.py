"""The options that only `dwca-bench kernels` has, each with what it accepts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from dwca_export.cli import bench_options as options
from dwca_export.cli.options import threads_of

Target: TypeAlias = Annotated[
    Path | None,
    options.network(
        "Measure the depthwise layers of this network: a folder that dwca-export wrote, or a .param with its .bin "
        "beside it."
    ),
]
Shape: TypeAlias = Annotated[
    list[str] | None,
    options.shapes(
        "Input of a layer, 64x56x56 for CxHxW; repeat for more. With a network: shape of its input, 1x3x224x224."
    ),
]
Kernel: TypeAlias = Annotated[
    int | None, typer.Option(help="With --shape: size of the kernel, odd. [default: 5]", min=1, metavar="K")
]
Stride: TypeAlias = Annotated[int | None, typer.Option(help="With --shape. [default: 1]", min=1, metavar="S")]
Padding: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="With --shape: zeros around the input, one number, or top,bottom,left,right. "
        "[default: what keeps the size at stride 1]",
        metavar="P",
    ),
]
Dilation: TypeAlias = Annotated[int | None, typer.Option(help="With --shape. [default: 1]", min=1, metavar="D")]
Bias: TypeAlias = Annotated[bool, typer.Option("--bias", help="With --shape: the layer has a bias.")]
Activation: TypeAlias = Annotated[
    str | None,
    typer.Option(help="With --shape: fused activation: none, relu, relu6 or hardswish.", metavar="NAME"),
]
Storage: TypeAlias = Annotated[str, typer.Option(help="Of input and output: fp32, fp16 or bf16.", metavar="TYPE")]
Arithmetic: TypeAlias = Annotated[str, typer.Option(help="Of products and sums: fp32 or fp16.", metavar="TYPE")]
Elempack: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="Channels that lie together: 1, 4, 8 or 16; with 1 ncnn packs nothing either. [default: ncnn's choice]",
        metavar="N",
    ),
]
Isa: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Instruction set of our kernels: scalar, avx2, avx512, neon or neon_fp16. [default: the best]",
        metavar="NAME",
    ),
]
Algorithm: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--algorithm",
        help="Measure only this one of our kernels: direct, generic, auto, 'winograd_1d F(4,5)', or winograd_1d for "
        "all of these; repeat for more.",
        metavar="NAME",
    ),
]
Threads: TypeAlias = Annotated[int, threads_of("Threads of every kernel.")]
Blocks: TypeAlias = Annotated[
    bool, typer.Option("--blocks/--no-blocks", help="Also measure the DWCA block around each layer, in ncnn.")
]
Frameworks: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--frameworks/--no-frameworks",
        help="Also measure torch, ONNX Runtime, OpenVINO and MNN, those that are installed.",
    ),
]


@dataclass(frozen=True)
class Measuring(options.Measuring):
    """As all commands that measure have them, with what there is to be said of kernels."""

    min_time: Annotated[float | None, options.min_time("Seconds for each kernel at least. [default: 1]")] = None
    quick: Annotated[bool, typer.Option("--quick", help="10 rounds and 0.1 s, unless said otherwise.")] = False
