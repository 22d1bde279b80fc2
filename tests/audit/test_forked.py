from __future__ import annotations

import os
import signal

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


def test_an_exit_is_no_result():
    with pytest.raises(ConversionError, match="exit code 7"):
        in_child(lambda: os._exit(7), "net")
