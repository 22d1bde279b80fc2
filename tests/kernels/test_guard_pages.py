"""No kernel reads or writes beside its tensors: pages that may not be touched lie on both sides of each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kernel_cases import ISAS, rows

SCRIPT = Path(__file__).with_name("guarded_run.py")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    # Where PYTHONSAFEPATH is set, Python does not add the script's folder by itself.
    path = os.pathsep.join(filter(None, [str(SCRIPT.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=900, env=environment)


@pytest.mark.parametrize("isa", ISAS)
def test_nothing_beside_the_tensors_is_touched(isa):
    done = run(isa)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{lines[-1] if lines else ''}\n{done.stderr}"
    word, runs = lines[-1].split()
    assert word == "done"
    assert int(runs) >= 2 * len(rows(isa))


@pytest.mark.parametrize("kind", ["read", "write", "weights"])
def test_a_kernel_that_goes_too_far_is_seen(kind):
    done = run(ISAS[-1], "--plant", kind)
    assert "nothing noticed" not in done.stdout
    # An emulator, or the shell that starts it, may pass the signal on as 128 and its number.
    assert done.returncode in (-signal.SIGSEGV, 128 + signal.SIGSEGV), done.stderr
