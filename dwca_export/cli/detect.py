"""The command `dwca-detect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dwca_export.cli.options import AsJson, Debug, Interrupts, Quiet, end, run, start, threads_of, version_of
from dwca_export.errors import UsageError

_EPILOG = (
    "Exit codes: 0 done, 1 internal error, 2 usage, 3 bundle or image refused, 4 ncnn does not run the network, "
    "130 interrupted."
)

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _share_of(text: str) -> Any:
    """The option for a number from 0 to 1, with its help."""
    return typer.Option(help=text, min=0, max=1, metavar="S")


@app.command(epilog=_EPILOG)
def detect(
    bundle: Annotated[Path, typer.Argument(help="Folder that dwca-export wrote, of a detector.", metavar="BUNDLE")],
    images: Annotated[
        list[Path],
        typer.Argument(help="Image files, or .npy and .npz of uint8 pixels N x H x W x C.", metavar="IMAGE..."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the pictures. [default: the current one]", metavar="DIR")
    ] = None,
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Draw nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace older pictures.")] = False,
    score: Annotated[float | None, _share_of("Score from which a box is shown. [default: the bundle's]")] = None,
    iou: Annotated[float | None, _share_of("Overlap that boxes of a class may have. [default: the bundle's]")] = None,
    across_classes: Annotated[
        bool, typer.Option("--across-classes", help="Of boxes of any class that overlap, show the best only.")
    ] = False,
    precision: Annotated[
        str | None, typer.Option(help="Weights to use: fp32 or fp16. [default: the most exact]", metavar="PRECISION")
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="Precision of ncnn's arithmetic: fp32, fp16-storage, fp16-arithmetic or bf16-storage.", metavar="MODE"
        ),
    ] = "fp32",
    threads: Annotated[int, threads_of("Threads that ncnn may use.")] = 1,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Annotated[bool, version_of("dwca-detect")] = False,  # noqa: ARG001  its callback does the work
) -> int:
    """Find objects in images with a detector's bundle, and draw boxes with labels and scores."""

    def command(_: Interrupts) -> None:
        from dwca_export.cli.detect_output import show
        from dwca_export.detect.files import DetectRequest, detect_files

        _check(mode, out, no_pictures, force)
        folder = None if no_pictures else out or Path()
        request = DetectRequest(
            bundle, tuple(images), folder, force, score, iou, across_classes, precision, mode, threads
        )
        show(detect_files(request), as_json=as_json, quiet=quiet)

    return run(command, as_json=as_json, debug=debug)


def _check(mode: str, out: Path | None, no_pictures: bool, force: bool) -> None:
    from dwca_export.runners.ncnn import MODES

    if mode not in MODES:
        raise UsageError(f"{mode!r} is unknown", where="--mode", hint=f"there are {', '.join(MODES)}")
    if no_pictures and (out or force):
        raise UsageError("is for pictures alone", where="--out" if out else "--force", hint="leave out --no-pictures")


def main() -> None:
    """Entry point."""
    end(start(app))


if __name__ == "__main__":
    main()
