from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dwca_export.bundle import bin_names, bundle_folder, hash_files, write_golden, write_json, write_metadata


@pytest.mark.parametrize(
    ("model", "out", "expected"),
    [
        ("/a/net.pt", None, "/a/net_ncnn_model"),
        ("/a/net.best.pt", None, "/a/net.best_ncnn_model"),
        ("/a/net.pt", "/b", "/b/net_ncnn_model"),
        ("/a/net.pt", "/b/", "/b/net_ncnn_model"),
        ("/a/net.pt", "/b/other_ncnn_model", "/b/other_ncnn_model"),
        ("/a/net.pt", "/b/other_ncnn_model/", "/b/other_ncnn_model"),
        ("/a/net.pt", "/b/ncnn_model_of_me", "/b/ncnn_model_of_me/net_ncnn_model"),
        ("/a/grün net.pt", "/b c", "/b c/grün net_ncnn_model"),
    ],
)
def test_where_the_bundle_goes(model, out, expected):
    assert bundle_folder(Path(model), Path(out) if out else None) == Path(expected)


def test_relative_paths_start_at_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bundle_folder(Path("net.pt"), None) == tmp_path / "net_ncnn_model"
    assert bundle_folder(Path("x/net.pt"), Path("out")) == tmp_path / "out" / "net_ncnn_model"


@pytest.mark.parametrize(
    ("precisions", "expected"),
    [
        (["fp32"], {"fp32": "model.ncnn.bin"}),
        (["fp16"], {"fp16": "model.ncnn.bin"}),
        (["fp32", "fp16"], {"fp32": "model.ncnn.bin", "fp16": "model.ncnn.fp16.bin"}),
        (["fp16", "fp32"], {"fp32": "model.ncnn.bin", "fp16": "model.ncnn.fp16.bin"}),
    ],
)
def test_the_most_exact_weights_have_the_common_name(precisions, expected):
    assert bin_names(precisions) == expected
    assert list(bin_names(precisions)) == list(expected)


texts = st.text(st.characters(codec="utf-8"))
values = st.one_of(st.integers(), st.booleans(), texts, st.lists(st.integers()))


@given(st.dictionaries(st.sampled_from(["description", "task", "imgsz", "batch"]), values), st.lists(texts))
def test_yaml_says_what_was_written(tmp_path_factory, metadata, names):
    path = tmp_path_factory.getbasetemp() / "metadata.yaml"
    document = {**metadata, "names": dict(enumerate(names))}
    write_metadata(path, document)
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == document


@pytest.mark.parametrize(
    "name", ["no", "1e3", "a: b", "- x", "#", "\x85", "\u2028", "\ufeff", "\x7f", "'\"\\", "\U0001f600", ""]
)
def test_yaml_takes_a_name_for_nothing_else(tmp_path, name):
    write_metadata(tmp_path / "m.yaml", {"names": {0: name}})
    assert yaml.safe_load((tmp_path / "m.yaml").read_text(encoding="utf-8")) == {"names": {0: name}}


def test_json_is_readable_and_always_the_same(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1], "a": "ü"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "b": [\n    1\n  ],\n  "a": "ü"\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_has_no_word_for_it(tmp_path, value):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": value})
    assert not (tmp_path / "a.json").exists()


def golden(path):
    array = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    samples, outputs = [{"x": array}, {"x": array + 1}], [{"y": array}, {"y": array * 2}]
    write_golden(path, samples, outputs, {"block.0": array[0]}, {"7": array[0, 0]})


def test_golden_tensors_are_named_by_purpose_sample_and_tensor(tmp_path):
    golden(tmp_path / "golden.npz")
    with np.load(tmp_path / "golden.npz") as archive:
        assert archive.files == ["input/0/x", "input/1/x", "output/0/y", "output/1/y", "tap/block.0", "blob/7"]
        np.testing.assert_array_equal(archive["output/1/y"], [[[0, 2, 4], [6, 8, 10]]])
        assert archive["tap/block.0"].shape == (2, 3)


def test_golden_tensors_have_the_same_bytes_at_another_time(tmp_path, monkeypatch):
    golden(tmp_path / "now.npz")
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    golden(tmp_path / "later.npz")
    assert (tmp_path / "now.npz").read_bytes() == (tmp_path / "later.npz").read_bytes()


def test_every_file_but_the_manifest_is_hashed(tmp_path):
    for name in ("b", "a", "manifest.json"):
        (tmp_path / name).write_text(name)
    hashes = hash_files(tmp_path)
    assert list(hashes) == ["a", "b"]
    assert hashes["a"] == hashlib.sha256(b"a").hexdigest()
    json.dumps(hashes)
