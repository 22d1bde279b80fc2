from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tiny_target import bundle

from dwca_export.audit.forked import in_child
from dwca_export.bench.network import Network
from dwca_export.bench.target import open_target
from dwca_export.bench.variants import Variant
from dwca_export.bench.worker import Worker
from dwca_export.errors import ConversionError


class Thing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def number(self):
        return 42

    def process(self):
        return os.getpid()

    def refuse(self):
        raise ConversionError("no", where="there", hint="try")

    def crash(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def sleep(self):
        time.sleep(600)

    def allocate(self):
        self.kept = bytearray(50 << 20)


class Unwilling(Thing):
    def __enter__(self):
        raise ConversionError("it does not load")


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_methods_run_in_another_process():
    with Worker(Thing, "thing") as worker:
        assert worker.ask("number") == 42
        pid = worker.ask("process")
        assert pid != os.getpid()
        assert is_alive(pid)
    assert not is_alive(pid)


def test_errors_come_back_and_the_process_stays():
    with Worker(Thing, "thing") as worker:
        with pytest.raises(ConversionError) as caught:
            worker.ask("refuse")
        assert (caught.value.what, caught.value.where, caught.value.hint) == ("no", "there", "try")
        assert worker.ask("number") == 42


def test_what_cannot_be_made_is_an_error_at_once():
    with pytest.raises(ConversionError, match="it does not load"):
        Worker(Unwilling, "thing")


def test_a_crash_is_named():
    with Worker(Thing, "thing") as worker:
        for _ in range(2):
            with pytest.raises(ConversionError, match=r"ncnn crashed \(SIGKILL\)") as caught:
                worker.ask("crash")
            assert caught.value.where == "thing"


def test_what_never_ends_is_ended():
    with Worker(Thing, "thing", timeout=0.2) as worker, pytest.raises(ConversionError, match=r"not done after 0\.2 s"):
        worker.ask("sleep")


def test_interrupts_of_the_terminal_are_the_parents():
    with Worker(Thing, "thing") as worker:
        os.kill(worker.ask("process"), signal.SIGINT)
        assert worker.ask("number") == 42


def test_the_peak_of_memory_is_the_process_s_own():
    with Worker(Thing, "thing") as worker:
        before, growth = worker.memory()
        worker.ask("allocate")
        peak, more = worker.memory()
        assert peak - before > 40 << 20
        assert more - growth == peak - before


def test_a_network_in_a_process(tmp_path):
    target = open_target(bundle(tmp_path))
    with Worker(lambda: Network(target, Variant()), "tiny") as worker:
        assert worker.ask("time_once") > 0
        assert [one["out0"].shape for one in worker.ask("outputs")] == [(10,), (10,)]


def test_two_threads_where_the_parent_has_run_on_two(tmp_path):
    target = open_target(bundle(tmp_path))

    def parent():
        with Network(target, Variant(threads=2)) as network:
            network.time_once()
        with Worker(lambda: Network(target, Variant(threads=2)), "tiny", timeout=60) as worker:
            return worker.ask("time_once")

    def in_thread():
        with ThreadPoolExecutor(1) as pool:  # one that knows nothing of what other tests did
            return pool.submit(parent).result()

    assert in_child(in_thread, "tiny", timeout=120) > 0


def test_errors_of_other_kinds_come_back_too():
    with Worker(Thing, "thing") as worker, pytest.raises(AttributeError):
        worker.ask("planted")
