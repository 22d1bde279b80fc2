from __future__ import annotations

import json

import pytest
from bench_documents import model_document, model_row


@pytest.fixture
def files(tmp_path):
    """Two measurements; the newer one of bf16-storage is 10 % slower."""
    rows = {
        "old": [model_row("fp32"), model_row("bf16-storage", 0.0008, 1)],
        "new": [model_row("fp32", 0.001, 2), model_row("bf16-storage", 0.00088, 3)],
    }
    paths = [tmp_path / f"{name}.json" for name in rows]
    for path, some in zip(paths, rows.values(), strict=True):
        path.write_text(json.dumps(model_document(*some)))
    return paths


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_without_a_limit_it_tells(bench, files):
    done = bench("compare", *files)
    assert done.code == 0, done.err
    lines = [line.split()[:2] for line in done.out.splitlines()[1:3]]
    assert lines == [["fp32", "same"], ["bf16-storage", "slower"]]
    assert done.out.endswith("verdict: not judged\n")


def test_what_is_slower_fails(bench, files):
    done = bench("compare", *files, "--fail-if-slower", "5%")
    assert done.code == 7
    assert done.err.startswith("error: --fail-if-slower 5%: 1 of 2 rows are slower, bf16-storage by ")
    assert "verdict: slower" in done.out
    assert "too slow" in done.out


def test_what_is_within_the_limit_passes(bench, files):
    done = bench("compare", *files, "--fail-if-slower", "15%")
    assert (done.code, done.err) == (0, "")
    assert "verdict: passed" in done.out


def test_faster_passes(bench, files):
    assert bench("compare", *reversed(files), "--fail-if-slower", "0%").code == 0


def test_the_comparison_as_json(bench, files):
    done = bench("compare", *files, "--fail-if-slower", "5%", "--json")
    assert done.code == 7
    assert done.document["schema"] == "dwca-bench-compare/1"
    assert done.document["verdict"] == "slower"
    assert [row["too_slow"] for row in done.document["rows"]] == [False, True]
    assert done.document["fail_if_slower"] == 0.05


def test_quiet_prints_errors_only(bench, files):
    done = bench("compare", *files, "--fail-if-slower", "5%", "-q")
    assert (done.code, done.out) == (7, "")


@pytest.mark.parametrize("limit", ["5", "0.05", "%", "five%", "-5%", "nan%", "inf%", "5 percent"])
def test_what_is_no_percentage_is_refused(bench, files, limit):
    done = bench("compare", *files, "--fail-if-slower", limit)
    assert done.code == 2
    assert "is no percentage" in done.err


def test_another_machine_is_refused_unless_forced(bench, files):
    machine = json.loads(files[1].read_text())["machine"]
    edit(files[1], machine={**machine, "cpu": "Another CPU"})
    done = bench("compare", *files)
    assert done.code == 3
    assert "different machines: cpu Some CPU and Another CPU" in done.err
    forced = bench("compare", *files, "--force")
    assert forced.code == 0
    assert "note: different machines" in forced.out


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"complete": False}, "interrupted"), ({"emulated": True}, "emulation"), ({"rows": []}, "no row in common")],
)
def test_what_holds_no_result_is_refused(bench, files, changes, said):
    edit(files[0], **changes)
    done = bench("compare", *files)
    assert done.code == 3
    assert said in done.err


def test_a_cut_off_file_is_refused(bench, files):
    files[1].write_text(files[1].read_text()[:-20])
    done = bench("compare", *files, "--json")
    assert done.code == 3
    assert done.document["error"]["where"] == str(files[1])


def test_two_files_are_needed(bench, files):
    assert bench("compare", files[0]).code == 2
    assert bench("compare", files[0], "missing.json").code == 3


def test_what_was_just_measured_can_be_compared(bench, bundle, tmp_path):
    for name in ("old", "new"):
        assert bench(bundle, "--rounds", "8", "--min-time", "0", "--save", tmp_path / f"{name}.json", "-q").code == 0
    done = bench("compare", tmp_path / "old.json", tmp_path / "new.json")
    assert done.code == 0, done.err
