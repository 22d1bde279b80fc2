"""The command `dwca-export`."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import secrets
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dwca_export import zoo
from dwca_export.cli.options import (
    AsJson,
    Debug,
    Interrupts,
    Quiet,
    end,
    parse_json_object,
    printing,
    run,
    start,
    version_of,
)
from dwca_export.errors import UsageError
from dwca_export.progress import Progress
from dwca_export.request import ExportRequest
from dwca_export.shapes import parse_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODULES = ("torch", "onnx", "onnxruntime", "onnxscript", "onnxsim", "pnnx", "PIL")
_EPILOG = (
    "Exit codes: 0 ok, 1 internal error, 2 usage, 3 input refused, 4 conversion failed, 5 parity failed, "
    "130 interrupted."
)

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(epilog=_EPILOG)
def export(
    model: Annotated[
        str,
        typer.Argument(
            help="Checkpoint or state dict (also .safetensors), pickled module, TorchScript, .pt2 or .onnx; "
            "or zoo:NAME, a trained network that comes with dwca-export (zoo:list lists them).",
            metavar="MODEL",
        ),
    ],
    shape: Annotated[
        list[str] | None,
        typer.Option(
            help="Input shape such as 1x3x224x160, once per input. "
            "[default: what the model or its card names, else 1x3x224x224]",
            metavar="SHAPE",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the bundle <stem>_ncnn_model, or the bundle itself if the name ends so. "
            "[default: the model's folder; of the zoo, the current one]",
            metavar="DIR",
        ),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(
            help="Factory of the network for a state dict: file.py:factory or package.module:factory. Its code runs.",
            metavar="FACTORY",
        ),
    ] = None,
    arch_args: Annotated[
        str | None,
        typer.Option(
            help="The factory's keyword arguments. [default: those that the checkpoint names]", metavar="JSON"
        ),
    ] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(help="Package whose classes the file's pickle may use; repeat for more.", metavar="PACKAGE"),
    ] = None,
    trust_all: Annotated[bool, typer.Option("--trust-all", help="Let the file run any code it likes.")] = False,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Make one network for every height and width.")] = False,
    precision: Annotated[
        str, typer.Option(help="Weight files to write: fp32, fp16 or fp32,fp16.", metavar="LIST")
    ] = "fp32",
    images: Annotated[
        Path | None,
        typer.Option(
            help="Data to prove parity on: a folder of images, a .npy or a .npz. "
            "[default: seeded noise; of the zoo, its own test images]",
            metavar="PATH",
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(help="How many samples to compare on and to record.", min=1, max=1000, metavar="N")
    ] = 4,
    seed: Annotated[int, typer.Option(help="Seed of the noise.", min=0, metavar="N")] = 0,
    timeout: Annotated[
        float, typer.Option(help="Seconds that onnxsim, pnnx or ncnn may take.", min=0.01, metavar="SECONDS")
    ] = 300.0,
    force: Annotated[bool, typer.Option("--force", help="Replace an older bundle.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Annotated[bool, version_of("dwca-export")] = False,  # noqa: ARG001  its callback does the work
) -> int:
    """Convert a trained network to ncnn and prove that it still computes the same numbers."""

    def command(interrupts: Interrupts) -> None:
        if model == zoo.LIST:
            _list_zoo(as_json)
            return
        request = ExportRequest(
            model=Path(model),
            out=out,
            shapes=tuple(map(parse_shape, shape)) if shape else None,
            arch=arch,
            arch_args=parse_json_object(arch_args, "--arch-args") if arch_args is not None else None,
            trust=trust or (),
            trust_all=trust_all,
            precisions=tuple(precision.split(",")),
            images=images,
            samples=samples,
            seed=seed,
            dynamic=dynamic,
            force=force,
            timeout=timeout,
        )
        if zoo.is_zoo(model):
            request = zoo.with_zoo(request, model)
        _require_packages()
        gc.disable()  # torch makes millions of objects that stay: looking for garbage takes a fifth of the time
        with interrupts.held():
            from dwca_export.pipeline import export as run_export
        from dwca_export.report.text import print_report

        progress = Progress(quiet=quiet or as_json)
        with _cache_of_torch_removed():
            result = run_export(request, progress)
        with printing():
            if as_json:
                typer.echo(json.dumps({"bundle": str(result.bundle), "seconds": progress.totals(), **result.manifest}))
            elif not quiet:
                print_report(result.bundle, result.manifest)

    return run(command, as_json=as_json, debug=debug)


def _list_zoo(as_json: bool) -> None:
    entries = zoo.listing()
    with printing("it was all there was to do"):
        typer.echo(json.dumps(entries) if as_json else zoo.listing_text(entries))


@contextlib.contextmanager
def _cache_of_torch_removed() -> Iterator[None]:
    """To export is enough for torch to make a folder for compiled code where temporary files go, and to leave it."""
    folder = Path(tempfile.gettempdir(), f"dwca-torch-{secrets.token_hex(8)}")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _require_packages() -> None:
    missing = ["pillow" if module == "PIL" else module for module in _MODULES if find_spec(module) is None]
    if missing:
        raise UsageError(
            f"exporting needs packages that are not installed: {', '.join(missing)}",
            hint="pip install 'dwca-export[export]'",
        )


def main() -> None:
    """Entry point."""
    end(start(app))


if __name__ == "__main__":
    main()
