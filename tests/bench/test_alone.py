from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dwca_export.bench.alone import other_instance

HOLD = """
import sys
from pathlib import Path
from dwca_export.bench.alone import other_instance
with other_instance(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that measures."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_nobody_else(tmp_path):
    with other_instance(tmp_path) as other:
        assert other is None


def test_the_other_one_is_named(tmp_path, holder):
    with other_instance(tmp_path) as other:
        assert other == holder.pid


def test_what_a_killed_process_leaves_is_no_lock(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / "dwca-bench.lock").read_text() == f"{holder.pid}\n"
    with other_instance(tmp_path) as other:
        assert other is None
    assert (tmp_path / "dwca-bench.lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_without_a_number_is_one_all_the_same(tmp_path, holder):
    (tmp_path / "dwca-bench.lock").write_text("")
    with other_instance(tmp_path) as other:
        assert other == 0


def test_a_link_that_somebody_planted_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "dwca-bench.lock").symlink_to(victim)
    with other_instance(tmp_path) as other:
        assert other is None
    assert victim.read_text() == "precious"


def test_where_no_file_can_be_made_nothing_is_known(tmp_path):
    with other_instance(tmp_path / "missing") as other:
        assert other is None
