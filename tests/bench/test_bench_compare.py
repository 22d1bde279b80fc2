from __future__ import annotations

import json

import pytest
from bench_documents import absent_row, model_document, model_row

from dwca_export.bench.compare import compare, describe_comparison, read_document
from dwca_export.errors import InputRefusedError

OLD = model_document()


def newer(*factors, **changes):
    """A second measurement, each row so many times as slow."""
    names = ("fp32", "bf16-storage")
    medians = (0.001, 0.0008)
    rows = [
        model_row(name, median * factor, 10 + seed)
        for seed, (name, median, factor) in enumerate(zip(names, medians, factors, strict=True))
    ]
    return model_document(*rows, **changes)


def test_the_same_again_is_the_same():
    comparison = compare(OLD, newer(1, 1))
    assert [row.verdict for row in comparison.rows] == ["same", "same"]
    assert comparison.slower(0.0) == ()


@pytest.mark.parametrize(("threshold", "too_slow"), [(0.05, ["bf16-storage"]), (0.0, ["bf16-storage"]), (0.2, [])])
def test_what_is_slower_is_found(threshold, too_slow):
    comparison = compare(OLD, newer(1, 1.1))
    assert [row.verdict for row in comparison.rows] == ["same", "slower"]
    assert [row.name for row in comparison.slower(threshold)] == too_slow
    document = describe_comparison(comparison, threshold)
    assert document["verdict"] == ("slower" if too_slow else "passed")
    assert [row["name"] for row in document["rows"] if row["too_slow"]] == too_slow
    assert json.dumps(document, allow_nan=False)


def test_without_a_threshold_nothing_is_judged():
    assert describe_comparison(compare(OLD, newer(2, 2)), None)["verdict"] == "not judged"


def test_what_is_faster_is_no_failure():
    comparison = compare(OLD, newer(0.5, 0.5))
    assert [row.verdict for row in comparison.rows] == ["faster", "faster"]
    assert comparison.slower(0.0) == ()


def test_what_may_be_chance_is_no_failure():
    noisy = model_row("fp32", 0.001, 3)
    noisy["samples_us"] = [1000.0, 5000.0, 400.0, 3000.0, 600.0, 5200.0, 700.0, 1200.0]
    comparison = compare(model_document(model_row("fp32")), model_document(noisy))
    assert comparison.rows[0].ratio.value > 1.05
    assert comparison.slower(0.05) == ()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"cpu": "Another CPU"}, "different machines: cpu Some CPU and Another CPU"),
        ({"cores": 8}, "cores 4 and 8"),
        ({"isa": ("asimd", "asimdhp")}, "isa asimd and asimd asimdhp"),
        ({"board": "A board"}, "board unknown and A board"),
    ],
)
def test_different_machines_are_refused_unless_forced(changes, what):
    new = json.loads(json.dumps(newer(1, 1, machine=changes)))
    old = json.loads(json.dumps(OLD))
    with pytest.raises(InputRefusedError) as caught:
        compare(old, new)
    assert what in caught.value.what
    assert "--force" in caught.value.hint
    assert what in compare(old, new, force=True).notes[0]


def test_other_versions_are_noted():
    assert compare(OLD, newer(1, 1, machine={"ncnn": "2.0"})).notes == ("ncnn 1.0 and 2.0",)


def test_rows_that_the_newer_one_lacks_do_not_pass():
    new = model_document(model_row("fp32"), absent_row("bf16-storage"))
    with pytest.raises(InputRefusedError, match="not measured in the newer one: bf16-storage"):
        compare(OLD, new)
    assert compare(OLD, new, force=True).missing == ("bf16-storage",)
    assert compare(new, OLD).added == ("bf16-storage",)


def test_nothing_in_common_is_refused_even_by_force():
    with pytest.raises(InputRefusedError, match="no row in common"):
        compare(OLD, model_document(model_row("other")), force=True)


def test_other_kinds_are_refused():
    with pytest.raises(InputRefusedError, match="one is of model, the other of layers"):
        compare(OLD, {**newer(1, 1), "kind": "layers"})


def test_kernels_are_compared_by_layer():
    rows = [{**model_row("ncnn"), "layer": layer} for layer in ("a", "b")]
    assert [row.name for row in compare(model_document(*rows), model_document(*rows)).rows] == ["a ncnn", "b ncnn"]


def test_a_good_file_is_read(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps(OLD))
    assert read_document(path) == json.loads(json.dumps(OLD))


def change(**changes):
    return json.dumps({**OLD, **changes})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "cannot be read"),
        (json.dumps(OLD)[:500], "cannot be read"),
        ("[]", "its schema is None"),
        ("{}", "its schema is None"),
        (change(schema="dwca-bench/2"), "its schema is 'dwca-bench/2'"),
        (change(kind="planted"), "kind or machine"),
        (change(machine={}), "kind or machine"),
        (change(rows=None), "rows"),
        (change(rows=[{"name": "a"}]), "rows"),
        (change(rows=[{**OLD["rows"][0], "samples_us": ["fast"]}]), "rows"),
        (change(rows=[{**OLD["rows"][0], "samples_us": []}]), "rows"),
        (change(rows=[{**OLD["rows"][0], "samples_us": [-1.0]}]), "rows"),
        (change(rows=[{**OLD["rows"][0], "samples_us": [True]}]), "rows"),
        (change(whole={"samples_us": [1.0]}), "rows"),
        (change(emulated=True), "emulation"),
        (change(complete=False), "interrupted"),
        (change(complete="yes"), "interrupted"),
        (change(stable=None), "stable is missing"),
    ],
)
def test_what_is_no_whole_document_is_refused(tmp_path, text, what):
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(InputRefusedError, match=what) as caught:
        read_document(path)
    assert caught.value.where == str(path)


def test_what_is_not_there_or_no_text_is_refused(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", "binary", "."):
        with pytest.raises(InputRefusedError, match="cannot be read"):
            read_document(tmp_path / name)


def test_numbers_that_are_none_are_refused(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps({**OLD, "rows": [{**OLD["rows"][0], "samples_us": [float("nan")]}]}))
    with pytest.raises(InputRefusedError, match="rows"):
        read_document(path)
