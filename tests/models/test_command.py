"""The frame of the commands: what their processes print and return when they are to end, and what they leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dwca_export.errors import InputRefusedError, UsageError
from models.command import framed

pytestmark = pytest.mark.usefixtures("from_a_terminal")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("error", [UsageError, InputRefusedError])
def test_an_error_is_a_line_and_its_exit_code(capsys, error):
    @framed
    def main():
        raise error("no such thing", where="here", hint="look there")

    assert main() == error.exit_code
    assert capsys.readouterr().err == "error: here: no such thing\n  -> look there\n"


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_interruptions_and_handlers_are_put_back(capsys, sign):
    @framed
    def main():
        os.kill(os.getpid(), sign)
        return 0

    before = signal.getsignal(sign)
    assert main() == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    assert signal.getsignal(sign) is before


def test_an_interruption_in_the_guise_of_another_error_is_one_still(capsys):
    @framed
    def main():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt as interrupt:
            raise ValueError("a library's") from interrupt

    assert main() == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_what_is_a_bug_stays_one():
    @framed
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main()


def test_signals_wait_for_the_end_of_a_held_block():
    script = """if True:
        import os, signal, sys
        from models.command import framed, held
        @framed
        def main():
            with held():
                os.kill(os.getpid(), signal.SIGINT)
                print("whole")
            print("never")
            return 0
        sys.exit(main())
    """
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "whole\n", "error: interrupted\n")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_nothing(tmp_path, sign):
    script = "import sys; from models.data.shapes import main; print(flush=True); sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "--out", str(tmp_path / "set"), "--objects", "60000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "\n"
        _wait_for_handler(process.pid)
        process.send_signal(sign)
        _, message = process.communicate(timeout=60)
    assert (process.returncode, message) == (130, "error: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def _wait_for_handler(process):
    """Wait until a process has a handler for SIGTERM, which Python itself has not."""
    end = time.monotonic() + 60
    while not _handled(process) >> (signal.SIGTERM - 1) & 1:
        assert time.monotonic() < end
        time.sleep(0.02)


def _handled(process):
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("SigCgt")), 16)
