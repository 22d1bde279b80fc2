from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dwca_export.bundle import MANIFEST
from dwca_export.errors import UsageError
from dwca_export.staging import check_target, staged


def files(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail(target, error, *, force=False, before=lambda: None):
    """Start to make a folder, and fail."""
    with staged(target, force=force) as folder:
        (folder / "half").write_text("x")
        before()
        raise error


@pytest.fixture
def old(tmp_path):
    """An older bundle."""
    folder = tmp_path / "net_ncnn_model"
    (folder / "taps").mkdir(parents=True)
    (folder / MANIFEST).write_text("{}")
    (folder / "taps" / "a.txt").write_text("old")
    return folder


def test_a_finished_folder_takes_its_place(tmp_path):
    target = tmp_path / "new" / "deep" / "net_ncnn_model"
    with staged(target, force=False) as folder:
        (folder / MANIFEST).write_text("{}")
        assert not target.exists()
    assert files(tmp_path) == {"new/deep/net_ncnn_model/manifest.json": "{}"}
    assert names(target.parent) == ["net_ncnn_model"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing(tmp_path, error):
    with pytest.raises(error):
        fail(tmp_path / "new" / "deep" / "net_ncnn_model", error)
    assert names(tmp_path) == []


def test_a_failure_leaves_folders_that_others_use(tmp_path):
    folder = tmp_path / "new"
    with pytest.raises(RuntimeError):
        fail(folder / "net_ncnn_model", RuntimeError, before=lambda: (folder / "notes.txt").write_text("mine"))
    assert files(tmp_path) == {"new/notes.txt": "mine"}


def test_an_older_bundle_is_replaced_by_force(old):
    with staged(old, force=True) as folder:
        (folder / MANIFEST).write_text("{1}")
    assert files(old) == {MANIFEST: "{1}"}
    assert names(old.parent) == [old.name]


def test_an_older_bundle_is_kept_without_force(old):
    before = files(old)
    with pytest.raises(UsageError, match="exists already") as caught, staged(old, force=False):
        pytest.fail("never entered")
    assert "--force" in caught.value.hint
    assert files(old) == before


def test_an_older_bundle_survives_a_failure(old):
    before = files(old.parent)
    with pytest.raises(RuntimeError):
        fail(old, RuntimeError, force=True)
    assert files(old.parent) == before
    assert names(old.parent) == [old.name]


def test_an_older_bundle_comes_back_when_the_new_one_cannot_take_its_place(old, monkeypatch):
    before = files(old.parent)
    rename = Path.rename

    def fail_for_the_new_one(self, target):
        if self.name.startswith(".dwca-") and Path(target) == old:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(UsageError, match="No space left"), staged(old, force=True):
        pass
    assert files(old.parent) == before
    assert names(old.parent) == [old.name]


def test_an_empty_folder_is_replaced_by_force_only(tmp_path):
    target = tmp_path / "net_ncnn_model"
    target.mkdir()
    with pytest.raises(UsageError, match="exists already"):
        check_target(target, force=False)
    with staged(target, force=True) as folder:
        (folder / "a").write_text("a")
    assert files(target) == {"a": "a"}


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path):
    target = tmp_path / "net_ncnn_model"
    target.mkdir()
    (target / "thesis.txt").write_text("ten years")
    with pytest.raises(UsageError, match="is not a bundle"), staged(target, force=True):
        pytest.fail("never entered")
    assert files(tmp_path) == {"net_ncnn_model/thesis.txt": "ten years"}


@pytest.mark.parametrize("kind", ["file", "link to a bundle", "link to nothing"])
def test_what_is_no_folder_is_never_replaced(tmp_path, old, kind):
    target = tmp_path / "other_ncnn_model"
    if kind == "file":
        target.write_text("x")
    else:
        target.symlink_to(old if kind == "link to a bundle" else tmp_path / "nowhere")
    before = files(tmp_path)
    with pytest.raises(UsageError, match="is not a bundle"), staged(target, force=True):
        pytest.fail("never entered")
    with pytest.raises(UsageError, match="exists already"), staged(target, force=False):
        pytest.fail("never entered")
    assert files(tmp_path) == before
    assert target.is_symlink() == (kind != "file")


def test_a_bundle_that_holds_a_source_is_not_replaced(old):
    model = old / "model.onnx"
    model.write_text("x")
    with pytest.raises(UsageError, match=r"would delete .*model\.onnx"):
        check_target(old, force=True, sources=[model])
    check_target(old, force=True, sources=[old.parent / "model.onnx"])


def test_a_file_among_the_parents_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=r"file: File exists"), staged(tmp_path / "file" / "net", force=False):
        pytest.fail("never entered")


def test_a_name_that_is_too_long_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="name too long") as caught, staged(tmp_path / ("n" * 300), force=False):
        pytest.fail("never entered")
    assert "shorter" in caught.value.hint
    assert names(tmp_path) == []


def test_a_full_disk_is_named(tmp_path):
    with pytest.raises(UsageError, match="No space left on device") as caught:
        fail(tmp_path / "net_ncnn_model", None, before=lambda: Path("/dev/full").write_text("x"))
    assert "free some space" in caught.value.hint
    assert names(tmp_path) == []


def test_other_errors_of_the_system_pass(tmp_path):
    with pytest.raises(FileNotFoundError), staged(tmp_path / "net", force=False) as folder:
        (folder / "nothing").read_text()


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_holds(tmp_path, umask):
    before = os.umask(umask)
    try:
        with staged(tmp_path / "net", force=False):
            pass
        assert stat.S_IMODE((tmp_path / "net").stat().st_mode) == 0o777 & ~umask
        assert os.umask(umask) == umask
    finally:
        os.umask(before)


def test_it_works_in_a_thread(tmp_path):
    def work():
        with staged(tmp_path / "net", force=False):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (tmp_path / "net").is_dir()


def test_signals_are_handled_as_before_afterwards(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with staged(tmp_path / "net", force=False):
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("moment", ["rename", "rmtree"])
def test_a_second_interrupt_does_not_stop_renaming_or_cleaning_up(tmp_path, moment):
    code = f"""
import os, pathlib, shutil, signal, sys
from dwca_export.staging import staged

def disturbed(function):
    def call(*arguments, **named):
        os.kill(os.getpid(), signal.SIGINT)
        return function(*arguments, **named)
    return call

pathlib.Path.rename = disturbed(pathlib.Path.rename)
shutil.rmtree = disturbed(shutil.rmtree)
with staged(pathlib.Path(sys.argv[1]), force=False) as folder:
    (folder / "file").write_text("x")
    if {moment!r} == "rmtree":
        raise KeyboardInterrupt
"""
    target = tmp_path / "net"
    done = subprocess.run([sys.executable, "-c", code, target], capture_output=True, text=True, timeout=60, check=False)
    if moment == "rename":
        assert done.returncode == 0, done.stderr
        assert files(tmp_path) == {"net/file": "x"}
    else:
        assert done.stderr.strip().endswith("KeyboardInterrupt")
        assert names(tmp_path) == []
