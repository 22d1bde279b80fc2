from __future__ import annotations

import json

import commands
import pytest
import tiny_target
from planted_system import quiet_machine

from dwca_export.bench import layers, session
from dwca_export.bench.conditions import usable_cpus
from dwca_export.cli.bench import app


class Ran(commands.Ran):
    """How the command ended, and what it printed."""

    @property
    def document(self):
        return json.loads(self.out)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A bundle of a small network; not to be changed."""
    return tiny_target.bundle(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def root(tmp_path, monkeypatch):
    """/proc and /sys of a machine on which nothing is to be said against measuring, which the command sees."""
    planted = quiet_machine(tmp_path / "root")
    read = session.read_conditions
    monkeypatch.setattr(session, "read_machine", lambda _, real=session.read_machine: real(planted, "x86_64"))
    monkeypatch.setattr(session, "read_conditions", lambda *_: read(planted, lambda _: None))
    monkeypatch.setattr(session, "Watch", lambda _, real=session.Watch: real(planted))
    monkeypatch.setattr("os.cpu_count", lambda: len(usable_cpus()))
    return planted


@pytest.fixture
def bench(monkeypatch, capsys, tmp_path, root):
    """`bench(*arguments)`: run `dwca-bench` in this process, in an empty folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    # Its measurement takes a second.
    monkeypatch.setattr(layers, "_roofline", lambda: (None, "it is not measured here"))

    def call(*arguments):
        done = commands.run_here(app, "dwca-bench", arguments, monkeypatch, capsys)
        return Ran(done.code, done.out, done.err)

    return call
