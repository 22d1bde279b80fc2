"""Runs the commands, and compares folders."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tiny_net

from dwca_export.cli.options import start

ARCH = f"{Path(__file__).parent}/factories/tiny_factory.py:tiny"
SHAPE = "x".join(map(str, tiny_net.SHAPE))
_SET_BY_TORCH = "TORCHINDUCTOR_CACHE_DIR"  # in this process, as soon as it exports
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PROGRAM = Path(sys.executable).with_name("dwca-export")


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def child_environment(**more):
    """The environment of a child process; `tiny_net` can be imported there, and Python writes no files."""
    inherited = {name: value for name, value in os.environ.items() if name != _SET_BY_TORCH}
    return {
        **inherited,
        "PYTHONPATH": str(Path(tiny_net.__file__).parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        **{name: str(value) for name, value in more.items()},
    }


def run_child(*arguments, cwd=None, **environment):
    """Run the installed command as a user does."""
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)],
        cwd=cwd,
        env=child_environment(**environment),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def run_here(app, program, arguments, monkeypatch, capsys):
    """Run a command in this process, and leave the process as it was."""
    monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    capsys.readouterr()
    try:
        code = start(app)
    finally:
        gc.enable()  # an export switches it off
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Ran(code, *capsys.readouterr())


def as_from_a_terminal():
    """Background jobs and nohup ignore signals and hand that down; the program would respect it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def contents(folder):
    """Every file below a folder with the hash of its bytes, and every folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }
