from __future__ import annotations

import csv
import io
import json
import os
import stat

import pytest
from bench_documents import absent_row, model_document, model_row

from dwca_export.bench.export import row_name, to_csv, to_json, to_pyperf, write_whole
from dwca_export.errors import UsageError


@pytest.fixture
def document():
    return model_document(model_row(), absent_row(), model_row("bf16-storage", 0.002, 1))


def test_json_is_the_document(document):
    assert json.loads(to_json(document)) == json.loads(json.dumps(document))


def test_csv_has_a_line_per_row(document):
    rows = list(csv.DictReader(io.StringIO(to_csv(document).decode())))
    assert [row["name"] for row in rows] == ["fp32", "fp16-arithmetic", "bf16-storage"]
    assert float(rows[2]["p50_us"]) == document["rows"][2]["p50_us"]
    assert rows[1]["p50_us"] == ""
    assert rows[1]["unavailable"] == "not available here"
    assert rows[0]["weights_bytes"] == "4096"
    assert "samples_us" not in rows[0]


def test_rows_of_kernels_are_named_with_their_layer(document):
    named = {**document, "rows": [{**document["rows"][0], "layer": "64x56x56 k5 s1", "name": "ncnn"}]}
    assert row_name(named["rows"][0]) == "64x56x56 k5 s1 ncnn"
    assert to_csv(named).decode().splitlines()[1].startswith("64x56x56 k5 s1,ncnn,")
    assert json.loads(to_pyperf(named))["benchmarks"][0]["metadata"]["name"] == "64x56x56 k5 s1 ncnn"


def test_pyperf_gets_seconds_of_what_was_timed(document):
    suite = json.loads(to_pyperf(document))
    assert [one["metadata"]["name"] for one in suite["benchmarks"]] == ["fp32", "bf16-storage"]
    values = suite["benchmarks"][0]["runs"][0]["values"]
    assert values == pytest.approx([sample / 1e6 for sample in document["rows"][0]["samples_us"]])


def test_pyperf_gets_no_times_of_nothing(document):
    document["rows"][0]["samples_us"][:2] = [0.0, 0.0]
    assert len(json.loads(to_pyperf(document))["benchmarks"][0]["runs"][0]["values"]) == 58


def test_pyperf_itself_reads_and_compares_it(document, tmp_path):
    pyperf = pytest.importorskip("pyperf")
    path = tmp_path / "new.json"
    path.write_bytes(to_pyperf(document))
    suite = pyperf.BenchmarkSuite.load(str(path))
    assert suite.get_benchmark_names() == ["fp32", "bf16-storage"]
    assert suite.get_benchmark("bf16-storage").median() == pytest.approx(document["rows"][2]["p50_us"] / 1e6)


def test_a_file_is_written_whole_with_ordinary_permissions(tmp_path):
    path = tmp_path / "result.json"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["result.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()


def names(folder):
    return [path.name for path in folder.iterdir()]


def _umask():
    current = os.umask(0)
    os.umask(current)
    return current


def test_an_interrupt_while_writing_harms_nothing(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_whole(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["result.json"]


@pytest.mark.parametrize("name", ["missing/result.json", "."])
def test_where_nothing_can_be_written_is_said(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be written"):
        write_whole(tmp_path / name, b"new")
    assert names(tmp_path) == []
