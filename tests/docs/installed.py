"""The commands that the package installs."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import distribution
from typing import Any

import typer
from documents import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def commands() -> dict[str, Any]:
    """Every command, by name, as its parser has it."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    modules = {name: import_module(place.partition(":")[0]) for name, place in scripts.items()}
    return {name: typer.main.get_command(module.app) for name, module in modules.items()}


def parsers() -> dict[str, Any]:
    """Every command, and those that it has by names of their own: `dwca-bench compare`."""
    found = commands()
    own = {name: getattr(command, "commands", {}) for name, command in found.items()}
    return {**found, **{f"{name} {word}": command for name, some in own.items() for word, command in some.items()}}


def extras() -> set[str]:
    """The extras that pip can be asked for."""
    return set(distribution("dwca-export").metadata.get_all("Provides-Extra") or ())
