"""Bundles that are not what they should be: a clear error, the right exit code, no traceback."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from bundles import edit_golden, edit_manifest, edit_param, read_json

from dwca_export.audit import ncnn_version
from tools.mutations import renew_hashes

FILES = (
    "CMakeLists.txt",
    "golden.npz",
    "infer.py",
    "layers.json",
    "main.cpp",
    "metadata.yaml",
    "model.ncnn.bin",
    "model.ncnn.fp16.bin",
    "model.ncnn.param",
    "model.onnx",
    "report.html",
)


@pytest.fixture
def refused(judge):
    """`refused(code, *arguments)`: the command has to fail so, as text and as JSON; returns its error."""

    def call(code, *arguments):
        ran = judge(*arguments)
        assert (ran.code, ran.out) == (code, ""), ran
        assert "Traceback" not in ran.err
        error = ran.err[ran.err.index("error: ") :]
        assert "\n  -> " in error, error
        document = json.loads(judge(*arguments, "--json").out)
        assert document["error"]["exit_code"] == code
        assert document["error"]["what"] in error
        return error

    return call


def test_the_files_are_all_that_a_bundle_has(exported):
    assert sorted(path.name for path in exported.iterdir()) == sorted([*FILES, "manifest.json"])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_one_changed_byte_names_the_file(judge, bundle, name, place):
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    path.write_bytes(data)
    ran = judge(bundle)
    assert (ran.code, ran.out) == (3, "")
    assert f"{name} was changed" in ran.err


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(refused, bundle, name):
    (bundle / name).unlink()
    assert f"{name} is missing" in refused(3, bundle)


def test_all_files_at_fault_are_named(refused, bundle):
    (bundle / "infer.py").unlink()
    (bundle / "model.ncnn.bin").write_bytes(b"")
    assert "infer.py is missing, model.ncnn.bin was changed" in refused(3, bundle)


def test_an_unknown_file_is_a_note(judge, bundle):
    (bundle / "notes.txt").write_text("mine")
    ran = judge(bundle, "--mode", "fp32")
    assert ran.code == 0
    assert "note: not of the bundle, and not checked: notes.txt\n" in ran.out


def test_a_missing_manifest(refused, bundle):
    (bundle / "manifest.json").unlink()
    assert "no readable manifest" in refused(3, bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff", '{"schema_version"'])
def test_a_manifest_that_cannot_be_read(refused, bundle, text):
    (bundle / "manifest.json").write_text(text, encoding="latin-1")
    assert "no readable manifest" in refused(3, bundle)


def test_a_newer_schema(refused, bundle):
    edit_manifest(bundle, schema_version=2)
    error = refused(3, bundle)
    assert "the manifest has schema 2, this version reads 1" in error
    assert "install the version of dwca-export that wrote it" in error


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"inputs": None}, "inputs is no array"),
        ({"inputs": []}, "it names no network, input, output or sample"),
        ({"networks": {}}, "it names no network, input, output or sample"),
        ({"networks": {"fp32": {"param": "model.ncnn.param"}}}, "networks.fp32.bin is missing"),
        ({"networks": {"fp32": {"param": "x", "bin": "y"}}}, "files has no hash of x"),
        ({"outputs": [{"name": 1, "blob": "", "shape": [], "dtype": ""}]}, "outputs[0].name is not of type str"),
        ({"samples": {"count": True, "kind": "", "origin": ""}}, "samples.count is not of type int"),
        ({"samples": {"count": 0, "kind": "", "origin": ""}}, "it names no network, input, output or sample"),
        ({"files": {}}, "files has no hash of golden.npz"),
        ({"any_size": 1}, "any_size is not of type bool"),
    ],
)
def test_a_manifest_of_another_form(refused, bundle, changes, fault):
    edit_manifest(bundle, **changes)
    assert f"the manifest cannot be used: {fault}" in refused(3, bundle)


def test_a_manifest_that_lacks_a_key(refused, bundle):
    manifest = read_json(bundle / "manifest.json")
    del manifest["taps"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert "the manifest cannot be used: taps is missing" in refused(3, bundle)


def test_a_manifest_that_names_files_elsewhere(refused, bundle):
    edit_manifest(bundle, files={**read_json(bundle / "manifest.json")["files"], "../secret": ""})
    assert "files names '../secret', which is no name of a file" in refused(3, bundle)


def test_a_bundle_that_is_a_file(refused, bundle):
    assert "this is a file, a bundle is a folder" in refused(3, bundle / "manifest.json")


def test_a_bundle_that_is_not_there(refused, bundle):
    assert f"{bundle / 'nothing'}: there is no such folder" in refused(3, bundle / "nothing")


def test_a_folder_that_is_no_bundle(refused, tmp_path):
    (tmp_path / "folder").mkdir()
    assert "give the folder that dwca-export wrote" in refused(3, tmp_path / "folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(refused, bundle):
    (bundle / "model.ncnn.bin").chmod(0)
    assert "model.ncnn.bin cannot be read (Permission denied)" in refused(3, bundle)


def test_a_layer_that_ncnn_does_not_have(refused, bundle):
    edit_param(bundle, "GroupNorm ", "GroupWarp ")
    error = refused(4, bundle)
    assert "does not have the layers GroupWarp (" in error
    assert "model.ncnn.param" in error


def test_a_param_that_is_none(refused, bundle):
    (bundle / "model.ncnn.param").write_text("7767517\n1 1\nnonsense\n")
    renew_hashes(bundle, "model.ncnn.param")
    refused(4, bundle)


@pytest.mark.parametrize("name", ["model.ncnn.bin", "model.ncnn.fp16.bin"])
def test_a_bin_that_is_cut_off(refused, bundle, name):
    path = bundle / name
    path.write_bytes(path.read_bytes()[:-400])
    renew_hashes(bundle, name)
    refused(4, bundle)


def test_golden_tensors_of_another_size(refused, bundle):
    edit_golden(bundle, lambda arrays: arrays.update({"input/0/image": np.zeros((1, 3, 8, 8), np.float32)}))
    error = refused(3, bundle)
    assert "input/0/image has shape [1, 3, 8, 8], the manifest says [1, 3, 24, 16]" in error
    assert "golden.npz" in error


def test_golden_tensors_that_are_missing(refused, bundle):
    edit_golden(
        bundle, lambda arrays: arrays.pop("output/1/" + read_json(bundle / "manifest.json")["outputs"][0]["name"])
    )
    assert "golden.npz" in refused(3, bundle)


def test_golden_tensors_of_another_model_with_the_same_shapes(judge, bundle):
    def change(arrays):
        generator = np.random.default_rng(1)
        arrays.update(
            {key: generator.standard_normal(arrays[key].shape, np.float32) for key in arrays if "input" not in key}
        )

    edit_golden(bundle, change)
    ran = judge(bundle)
    assert ran.code == 5
    assert "Traceback" not in ran.err


def test_golden_tensors_of_blobs_that_the_network_has_not(refused, bundle):
    edit_golden(bundle, lambda arrays: arrays.update({"blob/planted": np.zeros((1, 1, 1), np.float32)}))
    assert "no layer computes planted, which the bundle recorded" in refused(5, bundle)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_golden_tensors_that_are_cut_off(refused, bundle, share):
    path = bundle / "golden.npz"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "golden.npz was changed" in refused(3, bundle)
    renew_hashes(bundle, "golden.npz")
    assert "no readable golden tensors" in refused(3, bundle)


def test_golden_tensors_with_a_broken_member(refused, bundle):
    path = bundle / "golden.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    renew_hashes(bundle, "golden.npz")
    refused(3, bundle)


def test_a_table_of_layers_that_is_none(refused, bundle):
    (bundle / "layers.json").write_text("[]")
    renew_hashes(bundle, "layers.json")
    assert "no readable table of layers" in refused(3, bundle)


def other_ncnn(bundle, version):
    manifest = read_json(bundle / "manifest.json")
    edit_manifest(bundle, tools={**manifest["tools"], "ncnn": version})


def test_an_ncnn_that_is_older_than_the_bundles(refused, judge, bundle):
    other_ncnn(bundle, "1.0.29990101")
    error = refused(3, bundle)
    assert f"ncnn {ncnn_version.installed()} is older than 1.0.29990101" in error
    assert "--allow-older-ncnn" in error
    ran = judge(bundle, "--mode", "fp32", "--allow-older-ncnn")
    assert ran.code == 0
    assert "is older than 1.0.29990101" in ran.out


def test_an_ncnn_that_is_newer_is_a_note(judge, bundle):
    other_ncnn(bundle, "1.0.20200101")
    ran = judge(bundle, "--mode", "fp32")
    assert ran.code == 0
    assert "note: ncnn" in ran.out


def test_an_unreadable_pyproject(refused, exported, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool")
    assert "pyproject.toml: cannot be read" in refused(2, exported)


def test_a_bundle_in_a_folder_with_a_strange_name(judge, bundle, tmp_path):
    place = tmp_path / "a folder\nwith \x1b[2J ünïcode"
    shutil.move(bundle, place)
    ran = judge(place, "--mode", "fp32")
    assert ran.code == 0
    ran = judge(place / "nothing")
    assert ran.code == 3
    assert "\x1b" not in ran.err
