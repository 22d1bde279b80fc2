"""A group of options: each field is an option of the command, which gets them together."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from dwca_export.cli.option_groups import with_group
from dwca_export.cli.options import start
from dwca_export.errors import UsageError


@dataclass(frozen=True)
class Group:
    rounds: Annotated[int, typer.Option(help="Of all.", min=1)] = 3
    quick: Annotated[bool, typer.Option("--quick")] = False


@dataclass(frozen=True)
class Longer(Group):
    rounds: Annotated[int, typer.Option(help="Of the longer.", min=1)] = 9


@with_group
def command(
    name: Annotated[str, typer.Argument()],
    loud: Annotated[bool, typer.Option("--loud")] = False,
    *,
    group: Group,
) -> int:
    """What it does."""
    typer.echo(f"{name} {loud} {group}")
    return 5


@with_group
def longer(*, group: Longer) -> int:
    typer.echo(group)
    return 0


def app_of(function):
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(function)
    return app


def parser(function):
    return typer.main.get_command(app_of(function))


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["x"], f"x False {Group()}"),
        (["--quick", "x", "--rounds", "7", "--loud"], f"x True {Group(7, quick=True)}"),
    ],
)
def test_the_command_gets_its_own_options_and_the_group(words, printed, capsys):
    assert parser(command)(words, standalone_mode=False) == 5
    assert capsys.readouterr().out == f"{printed}\n"


def test_a_group_that_says_something_of_its_own(capsys):
    parser(longer)([], standalone_mode=False)
    assert capsys.readouterr().out == f"{Longer(9)}\n"


@pytest.mark.parametrize("words", [["x", "--rounds", "0"], ["x", "--group", "y"], ["x", "--slow"]])
def test_what_no_field_takes_is_refused(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["program", *words])
    assert start(app_of(command)) == UsageError.exit_code
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("function", "options", "text"),
    [
        (command, ["name", "loud", "rounds", "quick"], "Of all."),
        (longer, ["rounds", "quick"], "Of the longer."),
    ],
)
def test_the_help_names_them_where_the_group_stood(function, options, text):
    made = parser(function)
    assert [option.name for option in made.params] == options
    assert next(option.help for option in made.params if option.name == "rounds") == text
    assert made.help == function.__doc__
