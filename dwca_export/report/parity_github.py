"""A parity document as annotations of GitHub Actions (workflow commands)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwca_export.errors import DwcaExportError


def github_lines(document: Mapping[str, Any], verdict: str) -> list[str]:
    """Errors for what failed, warnings for notes, notices for what was not run.

    Args:
        document: What `dwca_export.audit.document` describes.
        verdict: What failed first, in a few words.

    Returns:
        One line each.
    """
    images = document["images"]
    lines = [_line("error", "first fault", verdict)] if document["first_fault"] else []
    for kind, modes in (("", document["modes"]), (" on the images", images["modes"] if images else ())):
        for one in modes:
            title = f"{one['precision']} weights, {one['mode']}{kind}"
            lines += [_line("error", title, fault) for fault in one["faults"]]
            if one["status"] == "not run":
                lines.append(_line("notice", title, f"not run: {one['reason']}"))
    return [*lines, *(_line("warning", "note", note) for note in document["notes"])]


def github_line_of_error(error: DwcaExportError) -> str:
    """The error that kept a bundle from being judged."""
    return _line("error", error.where or "error", f"{error.what} {error.hint}".strip())


def _line(level: str, title: str, message: str) -> str:
    return f"::{level} title={_property(f'dwca-parity: {title}')}::{_data(message)}"


def _data(value: str) -> str:
    """As GitHub's own toolkit escapes: https://github.com/actions/toolkit, packages/core/src/command.ts."""
    return visible(value.replace("\n", " ")).replace("%", "%25")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
