"""The commands that the package installs."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import distribution
from typing import Any

import typer


def commands() -> dict[str, Any]:
    """Every command, by name, as its parser has it."""
    scripts = [entry for entry in distribution("dwca-export").entry_points if entry.group == "console_scripts"]
    return {entry.name: typer.main.get_command(import_module(entry.module).app) for entry in scripts}


def extras() -> set[str]:
    """The extras that pip can be asked for."""
    return set(distribution("dwca-export").metadata.get_all("Provides-Extra") or ())
