"""The child process outlives what ncnn does in it, and says which network did it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hand_written import expected, feed, job, network

from dwca_export.errors import ConversionError
from dwca_export.runners.child import NcnnChild
from dwca_export.runners.exchange import save_samples

# Copies two million channels out of two: ncnn's Slice has no bounds check.
BEYOND = "Slice slice 1 2 in0 a out0 -23300=2,1,2000000 1=0"
# 3 x 4 pixels, but 10 000 x 10 000 kernel positions, most of them padding.
ENDLESS = "Pooling pool 1 1 in0 out0 0=1 1=20001 11=20001 2=1 3=10000 5=1 6=1"


def refused(jobs, timeout=60.0):
    with NcnnChild(timeout) as child:
        with pytest.raises(ConversionError) as caught:
            child.run(jobs, [feed()])
        # It is ready for more.
        assert len(child.run(jobs[:1], [feed()])[0]) == 1
    assert caught.value.exit_code == 4
    return caught.value


@pytest.fixture
def good(tmp_path):
    return job("good", network(tmp_path, name="good"))


def test_every_job_on_every_sample(good, tmp_path):
    samples = [feed(seed=seed) for seed in range(3)]
    blobs = replace(good, blobs=("out0", "in0"))
    with NcnnChild(60) as child:
        first, second = child.run([good, blobs], samples)
    for sample, result, values in zip(samples, first, second, strict=True):
        np.testing.assert_allclose(result["y"], expected(sample), rtol=1e-6)
        np.testing.assert_array_equal(values["out0"], result["y"][0])
        np.testing.assert_array_equal(values["in0"], sample["x"][0])


def test_a_child_may_be_asked_again(good):
    with NcnnChild(60) as child:
        for seed in range(3):
            sample = feed(seed=seed)
            np.testing.assert_allclose(child.run([good], [sample])[0][0]["y"], expected(sample), rtol=1e-6)


def test_a_crash_names_the_network(good, tmp_path):
    error = refused([good, job("beyond", network(tmp_path, BEYOND, weights=None, name="beyond")), good])
    assert error.where == "ncnn, beyond"
    assert error.what.startswith("ncnn crashed (SIG")


def test_a_child_that_was_killed(good):
    with NcnnChild(60) as child:
        os.kill(child._child.start().pid, signal.SIGKILL)
        with pytest.raises(ConversionError, match=r"ncnn crashed \(SIGKILL\)") as caught:
            child.run([good], [feed()])
        assert caught.value.where == "ncnn, good"
        assert child.run([good], [feed()])


def test_a_hang_names_the_network(good, tmp_path):
    endless = job("endless", network(tmp_path, ENDLESS, weights=None, name="endless"))
    error = refused([good, endless, good], timeout=1.5)
    assert error.where == "ncnn, endless"
    assert error.what == "ncnn takes more than 1.5 s"


def test_a_network_that_does_not_load_is_named(good, tmp_path):
    cut = job("cut", network(tmp_path, weights=[1], name="cut"))
    garbage = job("garbage", network(tmp_path, "NoSuchLayer conv 1 1 in0 out0", name="garbage"))
    for culprit in (cut, garbage):
        error = refused([good, culprit, good])
        assert error.where == f"ncnn, {culprit.name}"
        assert error.what == "ncnn does not load the network"
    assert "NoSuchLayer" in error.hint  # what ncnn itself printed


def test_wrong_feeds_are_refused(good):
    with NcnnChild(60) as child, pytest.raises(ConversionError, match=r"the model takes float32 \[1, 2, 3, 4\] only"):
        child.run([good], [feed(1, 2, 4, 3)])


def test_what_lies_in_the_working_folder_does_not_matter(good, tmp_path, monkeypatch):
    for name in ("ncnn", "numpy", "json", "dwca_export"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    relative = replace(good, param="good.param", bin="good.bin")
    with NcnnChild(60) as child:
        np.testing.assert_allclose(child.run([relative], [feed()])[0][0]["y"], expected(feed()), rtol=1e-6)


def test_folders_with_spaces_and_letters_of_other_languages(tmp_path):
    folder = tmp_path / "Ñandú 鳥 net"
    folder.mkdir()
    with NcnnChild(60) as child:
        assert child.run([job("net", network(folder))], [feed()])


def test_what_the_network_prints_does_not_disturb_the_answers(good, tmp_path):
    feeds = tmp_path / "feeds.npz"
    save_samples(feeds, [feed()])
    noisy = (
        "import os\n"
        "from dwca_export.runners import worker\n"
        "worker._serve = lambda job, samples: os.write(1, b'a custom layer speaks')\n"
        "worker._main()"
    )
    request = json.dumps({"feeds": str(feeds), "count": 1, "jobs": [{}, {}]})
    done = subprocess.run(
        [sys.executable, "-c", noisy], input=request, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == '{"error": ""}\n' * 2
    assert "a custom layer speaks" in done.stderr


def test_nothing_stays_behind(good):
    with NcnnChild(60) as child:
        folder = child._child.folder
        child.run([good], [feed()])
        process = child._child.start()
    assert not folder.exists()
    assert process.poll() is not None
