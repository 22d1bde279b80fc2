"""The command `dwca-parity`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dwca_export.cli import parity_options as options  # noqa: TC001  typer reads annotations at run time
from dwca_export.cli.options import AsJson, Debug, Interrupts, Quiet, end, run, start
from dwca_export.errors import ParityError, UsageError

if TYPE_CHECKING:
    from dwca_export.audit.check import CheckRequest
    from dwca_export.parity.tolerances import Tolerance

_EPILOG = (
    "Exit codes: 0 passed, 1 internal error, 2 usage, 3 bundle or data refused, 4 ncnn does not run the network, "
    "5 parity failed, 130 interrupted."
)

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(epilog=_EPILOG)
def parity(
    bundle: options.Bundle,
    mode: options.Modes = None,
    threads: options.Threads = 1,
    images: options.Images = None,
    tolerance: options.Tolerances = None,
    paths: options.Paths = False,
    ranges: options.Ranges = False,
    fix_precision: options.FixPrecision = None,
    out: options.Out = None,
    force: options.Force = False,
    allow_older_ncnn: options.AllowOlder = False,
    all_layers: options.AllLayers = False,
    junit: options.Junit = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: options.Version = False,  # noqa: ARG001  its callback does the work
) -> int:
    """Run a bundle on this machine and find the first layer that computes something else than the original network."""
    failed = False

    def command(_: Interrupts) -> None:
        nonlocal failed
        from dwca_export.audit.check import CheckRequest, check_bundle
        from dwca_export.audit.document import describe
        from dwca_export.audit.forked import in_child
        from dwca_export.cli.parity_output import Output

        output = Output(bundle, junit=junit, as_json=as_json, quiet=quiet, all_layers=all_layers)
        with output.reporting_errors():
            table, notes = _tolerances(tolerance)
            request = CheckRequest(bundle, _modes(mode), threads, table, images, paths, ranges, allow_older_ncnn, notes)
            request, fix = _fixed(request, fix_precision, out, force)
            check = in_child(lambda: check_bundle(request), str(request.bundle))
            document = {**describe(check), "precision_fix": fix}
        output.show(document, check.paths)
        failed = document["verdict"] != "passed"

    return run(command, as_json=as_json, debug=debug) or (ParityError.exit_code if failed else 0)


def _fixed(
    request: CheckRequest, mode: str | None, out: Path | None, force: bool
) -> tuple[CheckRequest, dict[str, Any] | None]:
    if mode is None:
        if out or force:
            given = "--out" if out else "--force"
            raise UsageError(
                "is for --fix-precision alone", where=given, hint="add --fix-precision MODE, or leave it out"
            )
        return request, None
    from dwca_export.audit.fix import fix_precision

    return fix_precision(request, mode, out=out, force=force)


def _modes(named: list[str] | None) -> tuple[str, ...]:
    from dwca_export.runners.ncnn import MODES

    unknown = [mode for mode in named or () if mode not in MODES]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is unknown", where="--mode", hint=f"there are {', '.join(MODES)}")
    return tuple(named or MODES)


def _tolerances(given: list[str] | None) -> tuple[dict[str, Tolerance], tuple[str, ...]]:
    from dwca_export.cli.parity_settings import parse_setting, read_settings, with_settings

    return with_settings((*read_settings(Path.cwd()), *map(parse_setting, given or ())))


def main() -> None:
    """Entry point."""
    end(start(app))


if __name__ == "__main__":
    main()
