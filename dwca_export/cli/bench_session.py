"""The frame of the measuring commands: from the options to the result that is shown, and the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwca_export.cli.options import InterruptedExportError, Interrupts, run
from dwca_export.errors import DwcaExportError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwca_export.bench.session import Settings
    from dwca_export.cli.bench_options import Measuring


@dataclass(frozen=True)
class Work:
    """What a command measures.

    Attributes:
        measure: Returns the document, given a session and `checkpoint`, which is to be told of what there is so far.
        text: The report for people, given the document and `width` in columns.
        threads: That run at the same time, at most.
    """

    measure: Callable[..., dict[str, Any]]
    text: Callable[..., str]
    threads: int


def measured(measuring: Measuring, prepare: Callable[[], Work]) -> int:
    """Measure, show the result, and say what is wrong with it.

    Args:
        measuring: What the command line says of any measurement.
        prepare: Makes the work of the rest of it; its errors are shown like any other.

    Returns:
        The exit code.
    """
    code = 0

    def command(_: Interrupts) -> None:
        nonlocal code
        from dwca_export.bench.session import open_session
        from dwca_export.cli.bench_output import Output

        work = prepare()
        output = Output(measuring.save, measuring.csv, measuring.pyperf, measuring.as_json, measuring.quiet)
        output.check(emulated=False)
        with open_session(_settings(measuring), work.threads) as session:
            output.check(emulated=session.emulated)
            document = work.measure(session, checkpoint=output.checkpoint)
        output.show(document, lambda width: work.text(document, width=width))
        code = _end_of(document)

    return run(command, as_json=measuring.as_json, debug=measuring.debug) or code


def _settings(measuring: Measuring) -> Settings:
    """How to measure: the usual way, or the quick one, with what was asked for."""
    from dwca_export.bench.session import QUICK, Settings

    usual = QUICK if measuring.quick else Settings()
    return Settings(
        usual.rounds if measuring.rounds is None else measuring.rounds,
        usual.seconds if measuring.min_time is None else measuring.min_time,
        measuring.cooldown,
        measuring.require_stable,
    )


def _end_of(document: dict[str, Any]) -> int:
    """The exit code of a result that has been shown, with what is wrong with it on standard error."""
    from dwca_export.bench.remarks import Remark
    from dwca_export.bench.session import require_stable
    from dwca_export.cli.bench_output import say

    if not document["complete"]:
        return say(InterruptedExportError("interrupted", hint="what was measured until then is in the result"))
    if document["settings"]["require_stable"]:
        try:
            require_stable([Remark(**remark) for remark in document["warnings"]])
        except DwcaExportError as error:
            return say(error)
    return 0
