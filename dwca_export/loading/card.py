"""The card beside a checkpoint: `<stem>.card.json`, which says what it is, and of which file it speaks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dwca_export.errors import InputRefusedError
from dwca_export.loading.text import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read_card(path: Path, sha256: str) -> Mapping[str, Any]:
    """Read the card of a model file.

    Args:
        path: The model file.
        sha256: Its hash, in hexadecimal.

    Returns:
        The card; empty where there is none.

    Raises:
        InputRefusedError: It is not a JSON object, or it names the hash of another file.
    """
    file = path.with_suffix(".card.json")
    if not file.is_file():
        return {}
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputRefusedError(f"its card {file.name} cannot be read ({one_line(error)})", hint="mend it") from error
    if not isinstance(card, dict):
        raise InputRefusedError(f"its card {file.name} is not a JSON object", hint="mend or remove it")
    named = card.get("sha256")
    if named is not None and str(named).lower() != sha256:
        raise InputRefusedError(
            f"its card {file.name} belongs to another file (sha256 {printable(str(named))}, this one is {sha256})",
            hint="put the checkpoint and the card of the same training side by side, or remove the card",
        )
    return card
