"""Every command that the documentation shows can be obeyed."""

from __future__ import annotations

import shlex
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from documents import README, ROOT, documents, shell_lines
from installed import commands, extras

if TYPE_CHECKING:
    from collections.abc import Sequence


def shell_faults(line: str) -> list[str]:
    program, *arguments = shlex.split(line, comments=True)
    if program in commands():
        return command_faults(program, arguments)
    if program == "pip":
        return pip_faults(arguments)
    if program == "python":
        return python_faults(arguments)
    if program.startswith("tools/"):
        return tool_faults(program, arguments)
    return [] if program == "apt-get" else [f"{program} is unknown"]


def command_faults(name: str, arguments: Sequence[str]) -> list[str]:
    command = commands()[name]
    own = getattr(command, "commands", {})
    if arguments[:1] and arguments[0] in own:
        command, arguments = own[arguments[0]], arguments[1:]
    elif own and arguments[:1] and arguments[0] not in ("--help", "--version", "--include-dir"):
        command = own["model"]  # its name may be left out
    try:
        command.make_context(name, list(arguments))
    except Exception as error:  # the parser's own classes
        return [getattr(error, "format_message", error.__str__)()]
    return []


def pip_faults(arguments: Sequence[str]) -> list[str]:
    asked = [word.partition("[")[2].rstrip("]") for word in arguments if "[" in word]
    return [f"there is no extra {extra}" for extra in asked if extra not in extras()]


def python_faults(arguments: Sequence[str]) -> list[str]:
    if arguments[0] == "-m":
        known = import_module(arguments[1])._parser().format_help()
        return [f"no {word}" for word in arguments[2:] if word.startswith("--") and word not in known]
    # A bundle's program lies where the reader exported to.
    return [] if arguments[0].endswith("_ncnn_model/infer.py") else tool_faults(arguments[0], arguments[1:])


def tool_faults(program: str, arguments: Sequence[str]) -> list[str]:
    if not (ROOT / program).is_file():
        return [f"there is no {program}"]
    text = (ROOT / program).read_text(encoding="utf-8")
    return [f"no {word}" for word in arguments if word.startswith("--") and word not in text]


def test_every_shell_command_can_be_obeyed() -> None:
    lines = [line for text in documents().values() for line in shell_lines(text)]
    assert any(line.startswith("dwca-export ") for line in lines)
    assert [f"{line}: {fault}" for line in lines for fault in shell_faults(line)] == []


@pytest.mark.parametrize(
    "line",
    [
        "dwca-export model.pt --planted",
        "dwca-export model.pt --samples many",
        "dwca-export",
        "dwca-bench bundle --planted",
        "dwca-bench compare old.json",
        "dwca-bench kernels --kernel two",
        "pip install 'dwca-export[planted]'",
        "tools/planted",
        "tools/test --planted",
        "python tools/latency.py --planted",
        "python -m models.train --planted",
        "planted",
    ],
)
def test_a_shell_command_that_cannot_be_obeyed_is_found(line: str) -> None:
    assert len(shell_faults(line)) == 1


def test_the_readme_shows_the_command_of_the_demo() -> None:
    demo = (ROOT / "tools/demo").read_text(encoding="utf-8").replace("\\\n", " ").replace(".venv/bin/", "")
    runs = [shlex.split(line) for line in demo.splitlines() if line.startswith("dwca-export ")]
    shown = [shlex.split(line) for line in shell_lines(documents()[README]) if "fashion_dwca.pt" in line]
    assert len(shown) == 1
    assert shown[0] in runs
