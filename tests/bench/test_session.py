from __future__ import annotations

import pytest
from bench_documents import TARGET
from planted_system import plant, quiet_machine

from dwca_export.bench.conditions import usable_cpus
from dwca_export.bench.schedule import Case
from dwca_export.bench.session import Settings, open_session
from dwca_export.errors import UnstableError

STABLE = Settings(rounds=100, seconds=0, require_stable=True)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("os.cpu_count", lambda: len(usable_cpus()))
    return quiet_machine(tmp_path / "root")


def nap(_):
    """No time passes."""


def open_quietly(root, settings=STABLE):
    return open_session(settings, root=root, sleep=nap)


def measured(session):
    found = session.measure([Case("a", lambda: 1.0)])
    content = {"rows": [], "target": TARGET, "complete": all(one.complete for one in found.values())}
    return session.finished("model", verdict=["a is fast"], **content)


def names(document):
    return [warning["name"] for warning in document["warnings"]]


def test_on_a_quiet_machine_there_is_a_verdict(root):
    with open_quietly(root) as session:
        document = measured(session)
    assert names(document) == []
    assert document["stable"]
    assert document["verdict"] == ["a is fast"]
    assert document["settings"] == {"rounds": 100, "seconds": 0, "cooldown": 0.0, "require_stable": True}


def throttle(root):
    plant(root, {"sys/class/thermal/cooling_device0/cur_state": 5})


def test_a_throttled_machine_is_refused_before_anything_is_measured(root):
    throttle(root)
    with pytest.raises(UnstableError, match="Processor at step 5") as caught, open_quietly(root):
        pytest.fail("it was measured")
    assert caught.value.exit_code == 6
    assert "--cooldown" in caught.value.hint


def test_a_machine_that_is_throttled_meanwhile_gets_no_verdict(root):
    with open_quietly(root) as session:
        throttle(root)
        document = measured(session)
    assert names(document) == ["throttled"]
    assert not document["stable"]
    assert document["verdict"] == []
    assert document["conditions"]["during"]["throttling"] == ("Processor at step 5",)


def test_unless_it_has_to_be_stable_the_verdict_is_hedged(root):
    throttle(root)
    with open_quietly(root, Settings(rounds=100, seconds=0)) as session:
        document = measured(session)
    assert document["verdict"] == [
        "this machine was not stable, as the warnings say: what follows may be chance",
        "a is fast",
    ]


def test_the_governor_alone_makes_it_unstable(root):
    plant(root, {f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor": "ondemand" for cpu in usable_cpus()})
    with pytest.raises(UnstableError, match="the frequency governor is ondemand"), open_quietly(root):
        pytest.fail("it was measured")


def test_noise_in_the_samples_makes_it_unstable(root):
    times = iter([1.0] * 10 + [1.0, 2.0, 3.0] * 40)
    with open_quietly(root) as session:
        session.measure([Case("noisy", lambda: next(times))])
        document = session.finished("model", verdict=["a"], complete=True, rows=[], target=TARGET)
    assert names(document) == ["noise"]
    assert document["verdict"] == []


def test_two_at_once_are_warned(root):
    with open_quietly(root), open_quietly(root, Settings()) as second:
        assert [remark.name for remark in second.remarks] == ["two_at_once"]


def test_under_emulation_each_case_is_run_but_not_timed(root):
    plant(root, {"proc/self/comm": "qemu-aarch64"})
    runs = []
    with open_quietly(root, Settings()) as session:
        found = session.measure([Case("a", lambda: runs.append(1) or 1.0)])
        document = session.finished("model", verdict=["a is fast"], complete=True, rows=[], target=TARGET)
    assert session.emulated
    assert len(runs) == 2
    assert found["a"].complete
    assert document["emulated"]
    assert document["verdict"] == []
    assert "tools/icount" in document["warnings"][0]["advice"]


def test_a_partial_document_says_so(root):
    with open_quietly(root) as session:
        document = session.partial("model", rows=[], target=TARGET)
    assert not document["complete"]
    assert document["conditions"]["after"] is None


def test_checkpoints_are_not_due_after_every_round(root, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with open_quietly(root) as session:
        assert session.checkpoint_is_due()
        now[0] += 4.9
        assert not session.checkpoint_is_due()
        now[0] += 0.2
        assert session.checkpoint_is_due()
