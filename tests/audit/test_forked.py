from __future__ import annotations

import os
import signal
import time

import pytest

from dwca_export.audit.forked import in_child
from dwca_export.errors import ConversionError, UsageError


def crash():
    os.kill(os.getpid(), signal.SIGKILL)


def fail():
    raise UsageError("what", where="where", hint="hint")


def test_what_the_work_returns_comes_back():
    assert in_child(lambda: {"pid": os.getpid()}, "net")["pid"] != os.getpid()


def test_a_large_result_comes_back():
    assert len(in_child(lambda: bytes(1 << 24), "net")) == 1 << 24


def test_an_error_comes_back_whole():
    with pytest.raises(UsageError) as caught:
        in_child(fail, "net")
    assert (caught.value.what, caught.value.where, caught.value.hint) == ("what", "where", "hint")
    assert caught.value.__cause__ is None


def test_an_error_that_nobody_thought_of_comes_with_its_traceback():
    with pytest.raises(ZeroDivisionError) as caught:
        in_child(lambda: 1 // 0, "net")
    assert "test_forked.py" in str(caught.value.__cause__)


def test_a_crash_is_an_error():
    with pytest.raises(ConversionError) as caught:
        in_child(crash, "net")
    assert (caught.value.what, caught.value.where) == ("ncnn crashed (SIGKILL)", "net")


def test_work_without_end_is_an_error(tmp_path):
    def work():
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(600)

    with pytest.raises(ConversionError, match="not done after 2 s"):
        in_child(work, "net", timeout=2)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_work_within_its_time_is_left_alone():
    assert in_child(lambda: 7, "net", timeout=300) == 7


def test_an_exit_is_no_result():
    with pytest.raises(ConversionError, match="exit code 7"):
        in_child(lambda: os._exit(7), "net")
