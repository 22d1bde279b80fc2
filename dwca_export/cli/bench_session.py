"""What the measuring commands share: how long to measure, and how the command ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwca_export.cli.options import InterruptedExportError
from dwca_export.errors import DwcaExportError

if TYPE_CHECKING:
    from dwca_export.bench.session import Settings


def chosen_settings(
    quick: bool, rounds: int | None, min_time: float | None, cooldown: float, require_stable: bool
) -> Settings:
    """How to measure: the usual way, or the quick one, with what was asked for."""
    from dwca_export.bench.session import QUICK, Settings

    usual = QUICK if quick else Settings()
    return Settings(
        usual.rounds if rounds is None else rounds,
        usual.seconds if min_time is None else min_time,
        cooldown,
        require_stable,
    )


def end_of(document: dict[str, Any]) -> int:
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
