"""The hops in a row, in this process; the command and other kinds of files are in tests/cli."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml
from bundle_check import noise, worst_error
from torch import nn

from dwca_export import conversion, open_bundle, optimise, pipeline, simplify, to_ncnn
from dwca_export.block import DWCABlock
from dwca_export.errors import ConversionError, InputRefusedError, ParityError, UsageError
from dwca_export.ncnn.graph import from_model
from dwca_export.ncnn.param import Param
from dwca_export.pipeline import export
from dwca_export.progress import Progress
from dwca_export.request import ExportRequest

SHAPE = (1, 3, 24, 16)
FILES = {
    "CMakeLists.txt",
    "golden.npz",
    "infer.py",
    "layers.json",
    "main.cpp",
    "manifest.json",
    "metadata.yaml",
    "model.ncnn.bin",
    "model.ncnn.param",
    "model.onnx",
    "report.html",
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.block = DWCABlock(8, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, image):
        return self.head(self.block(self.stem(image)).mean((2, 3)))


class Concat(nn.Module):
    """Takes multiples of 4 only: what was halved twice and doubled twice has to fit what was not."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, 4, 1)
        self.up = nn.Upsample(scale_factor=4)
        self.out = nn.Conv2d(11, 4, 1)

    def forward(self, image):
        return self.out(torch.cat([image, self.up(self.down(image))], 1))


class OneSize(nn.Module):
    """A linear layer over all pixels."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.head = nn.Linear(4 * 12 * 8, 4)

    def forward(self, image):
        return self.head(self.stem(image).flatten(1))


def contents(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def save(module, folder, name="net.pt"):
    """A whole module as a file."""
    torch.save(module, folder / name)
    return folder / name


def request(model, **options):
    return ExportRequest(model, **{"shapes": (SHAPE,), "trust_all": True, "samples": 2, **options})


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def model(net, tmp_path_factory):
    return save(net, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The network with both kinds of weights, the progress of its export, and what the hops made."""
    return recorded_export(
        request(model, precisions=("fp32", "fp16"), out=tmp_path_factory.mktemp("out")), Progress(quiet=True)
    )


@pytest.fixture(scope="module")
def exported_for_any_size(model, tmp_path_factory):
    """The same for every height and width."""
    return recorded_export(request(model, dynamic=True, out=tmp_path_factory.mktemp("out")), Progress(quiet=True))


def recorded_export(wanted, progress):
    made = []
    convert = pipeline.convert

    def recording(*arguments):
        made.append(convert(*arguments))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "convert", recording)
        return export(wanted, progress), progress, made


@pytest.fixture(scope="module")
def bundle(exported):
    return exported[0].bundle


@pytest.fixture(scope="module")
def any_size(exported_for_any_size):
    return exported_for_any_size[0].bundle


@pytest.fixture(scope="module")
def graph(bundle, tmp_path_factory):
    """The same network as ONNX, which needs no torch.onnx.export."""
    path = tmp_path_factory.mktemp("graph") / "graph.onnx"
    path.write_bytes((bundle / "model.onnx").read_bytes())
    return path


@pytest.fixture(scope="module")
def odd(graph, tmp_path_factory):
    """An export in which much is unusual: a name of markup, only fp16 weights, arrays as data, an older bundle."""
    folder = tmp_path_factory.mktemp("odd")
    evil = folder / 'a<script>alert("&")<b>.onnx'
    evil.write_bytes(graph.read_bytes())
    np.save(folder / "samples.npy", np.random.default_rng(0).standard_normal((3, *SHAPE[1:]), np.float32))
    older = folder / "out" / f"{evil.stem}_ncnn_model"
    older.mkdir(parents=True)
    (older / "manifest.json").write_text("{}")
    (older / "old.txt").write_text("old")
    data = folder / "samples.npy"
    return export(request(evil, precisions=("fp16",), images=data, out=folder / "out", force=True))


# --- what is in a bundle


def test_files(exported, bundle):
    assert {path.name for path in bundle.iterdir()} == FILES | {"model.ncnn.fp16.bin"}
    assert [path.name for path in bundle.parent.iterdir()] == ["net_ncnn_model"]
    assert json.loads((bundle / "manifest.json").read_text(encoding="utf-8")) == exported[0].manifest


def test_it_computes_what_torch_computes(net, bundle):
    assert worst_error(net, bundle, map(noise, [SHAPE])) < 1e-5


@pytest.mark.parametrize(("precision", "least", "most"), [("fp32", 0, 1e-5), ("fp16", 1e-6, 1e-2)])
def test_both_kinds_of_weights_open(net, bundle, precision, least, most):
    array = np.random.default_rng(5).standard_normal(SHAPE, np.float32)
    with open_bundle(bundle, precision=precision) as runner, torch.inference_mode():
        found, expected = runner.infer({"image": array})["output"], net(torch.from_numpy(array)).numpy()
    assert least <= np.abs(found - expected).max() / np.abs(expected).max() <= most


def test_hashes(exported, bundle):
    hashes = exported[0].manifest["files"]
    assert set(hashes) == {path.name for path in bundle.iterdir()} - {"manifest.json"}
    for name, digest in hashes.items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == digest


def outputs_of_modules(net, image):
    """What every module returns, by its path; `#2` and so on when it is called again."""
    seen = {}

    def record(name, output):
        calls = sum(known.partition("#")[0] == name for known in seen)
        seen[f"{name}#{calls + 1}" if calls else name] = output.numpy()

    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: record(name, output))
        for name, module in net.named_modules()
        if name
    ]
    with torch.inference_mode():
        net(torch.from_numpy(image))
    for hook in hooks:
        hook.remove()
    return seen


def test_golden_tensors(net, exported, bundle):
    with np.load(bundle / "golden.npz") as golden:
        for sample in range(2):
            with torch.inference_mode():
                expected = net(torch.from_numpy(golden[f"input/{sample}/image"])).numpy()
            np.testing.assert_allclose(golden[f"output/{sample}/output"], expected, rtol=1e-5, atol=1e-6)
        taps = {name.removeprefix("tap/"): golden[name] for name in golden.files if name.startswith("tap/")}
        seen = outputs_of_modules(net, golden["input/0/image"])
    assert set(taps) == {tap["name"] for tap in exported[0].manifest["taps"]}
    common = set(taps) & set(seen)
    assert {"stem", "block", "block.act"} <= common
    for name in common:
        np.testing.assert_allclose(taps[name].ravel(), seen[name].ravel(), rtol=1e-4, atol=1e-5, err_msg=name)


def test_every_blob_is_recorded(exported, bundle):
    """The values of the original network, and for all other blobs what ncnn computed."""
    with np.load(bundle / "golden.npz") as golden, open_bundle(bundle) as runner:
        recorded = {name.removeprefix("blob/"): golden[name] for name in golden.files if name.startswith("blob/")}
        computed = runner.infer_blobs({"image": golden["input/0/image"]}, list(recorded))
    assert recorded
    for name, array in computed.items():
        np.testing.assert_array_equal(array, recorded[name])
    param = Param.parse((bundle / "model.ncnn.param").read_text(encoding="utf-8"))
    assert set(param.computed) == {*recorded, *(tap["blob"] for tap in exported[0].manifest["taps"]), "out0"}


def test_the_table_of_values(exported, bundle):
    rows = {row["module"]: row for row in json.loads((bundle / "layers.json").read_text(encoding="utf-8"))["values"]}
    assert list(rows) == [tap["name"] for tap in exported[0].manifest["taps"]]
    row = rows["block.act"]
    assert (row["type"], row["blob"], row["ncnn"]["with"]) == ("Convolution", "block.act", [])
    assert list(row["hops"])[:2] == ["torch -> ONNX", "ONNX -> simplified ONNX"]
    for measured in (*row["hops"].values(), row["ncnn"]["added"], row["ncnn"]["carried"]):
        assert measured["relative_l2"] < 1e-5
    assert row["ncnn"]["added"]["mean_shift"] < 1e-5


def test_taps_are_blobs_of_the_network(exported, bundle):
    lines = (bundle / "model.ncnn.param").read_text(encoding="utf-8").splitlines()[2:]
    blobs = {blob for line in lines for blob in re.split(r"\s+", line)}
    assert {tap["blob"] for tap in exported[0].manifest["taps"]} <= blobs


def test_metadata_is_what_ultralytics_reads(bundle):
    metadata = yaml.safe_load((bundle / "metadata.yaml").read_text(encoding="utf-8"))
    assert {"stride", "task", "batch", "imgsz", "names"} <= set(metadata)
    assert (metadata["task"], metadata["imgsz"], metadata["batch"]) == ("classify", [24, 16], 1)
    assert metadata["names"] == {index: f"class{index}" for index in range(4)}


def test_manifest(exported, model):
    manifest = exported[0].manifest
    source = {"file": "net.pt", "kind": "module", "sha256": hashlib.sha256(model.read_bytes()).hexdigest()}
    assert manifest["source"] == source
    assert [entry["shape"] for entry in manifest["inputs"]] == [list(SHAPE)]
    assert [(entry["name"], entry["blob"], entry["shape"]) for entry in manifest["outputs"]] == [
        ("output", "out0", [1, 4])
    ]
    low, high = manifest["inputs"][0]["range"]
    assert low < -2 < 2 < high
    assert [(block["name"], block["groups"]) for block in manifest["blocks"]] == [("block", 4)]
    assert manifest["networks"] == {
        "fp32": {"param": "model.ncnn.param", "bin": "model.ncnn.bin"},
        "fp16": {"param": "model.ncnn.param", "bin": "model.ncnn.fp16.bin"},
    }
    assert any("--images" in note for note in manifest["notes"])
    assert any("any other size" in note for note in manifest["notes"])


def test_every_pair_of_neighbours_was_compared(exported):
    comparisons = exported[0].manifest["parity"]
    pairs = [(comparison["reference"], comparison["candidate"]) for comparison in comparisons]
    chain = ["torch", "ONNX", "simplified ONNX", "rewritten ONNX", "ncnn by pnnx", "ncnn fp32", "ncnn fp16"]
    assert pairs[:-2] == list(pairwise(chain))
    assert pairs[-2:] == [("torch", "ncnn fp32"), ("torch", "ncnn fp16")]
    assert all(comparison["passed"] for comparison in comparisons)
    assert {output["samples"] for comparison in comparisons for output in comparison["outputs"]} == {2}


def test_each_hop_was_timed(exported):
    hops = ["load", "prepare", "to_onnx", "simplify", "to_ncnn", "optimise", "parity", "bundle"]
    assert list(exported[1].totals()) == hops


def test_its_own_program_runs(bundle):
    done = subprocess.run([sys.executable, bundle / "infer.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "output (1, 4)" in done.stdout


def test_a_fixed_size_is_kept_to(bundle, tmp_path):
    array = np.zeros((1, 3, 24, 17), np.float32)
    with open_bundle(bundle) as runner, pytest.raises(InputRefusedError, match="24, 17"):
        runner.infer({"image": array})
    np.save(tmp_path / "a.npy", array)
    command = [sys.executable, bundle / "infer.py", tmp_path / "a.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "(1, 3, 24, 17)" in done.stderr


def test_only_fp16_weights(odd):
    assert {path.name for path in odd.bundle.iterdir()} == FILES
    done = subprocess.run([sys.executable, odd.bundle / "infer.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_arrays_as_data(odd):
    assert odd.manifest["samples"] == {"kind": "arrays", "origin": "3 samples of samples.npy", "count": 2}


def test_a_name_that_is_markup(odd):
    page = (odd.bundle / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "<h1>a&lt;script&gt;alert(&quot;&amp;&quot;)&lt;b&gt;</h1>" in page
    metadata = yaml.safe_load((odd.bundle / "metadata.yaml").read_text(encoding="utf-8"))
    assert metadata["description"].startswith('a<script>alert("&")<b>, exported')


# --- where it is written


def test_the_same_bytes_again_from_another_place(model, bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    again = export(request(model, precisions=("fp16", "fp32"), out=Path("elsewhere") / "other_ncnn_model")).bundle
    assert again == tmp_path / "elsewhere" / "other_ncnn_model"
    assert contents(again) == contents(bundle)


def test_an_older_bundle_is_kept_without_force(bundle, model):
    before, progress = contents(bundle.parent), Progress(quiet=True)
    with pytest.raises(UsageError, match="exists already"):
        export(request(model, out=bundle.parent), progress)
    assert progress.totals() == {}
    assert contents(bundle.parent) == before


def test_an_older_bundle_is_replaced_by_force(odd):
    assert not (odd.bundle / "old.txt").exists()
    assert list(odd.bundle.parent.iterdir()) == [odd.bundle]


def test_a_bundle_is_not_replaced_by_an_export_of_its_own_onnx(bundle):
    before = contents(bundle)
    with pytest.raises(UsageError, match=r"would delete .*model\.onnx"):
        export(request(bundle / "model.onnx", out=bundle, force=True))
    assert contents(bundle) == before


def test_data_that_is_not_there_is_said_before_any_hop(model, tmp_path):
    progress = Progress(quiet=True)
    with pytest.raises(UsageError, match="no such file") as caught:
        export(request(model, images=tmp_path / "nowhere", out=tmp_path), progress)
    assert caught.value.where == "--images"
    assert progress.totals() == {}


# --- planted faults: nothing is left, and the pair that differs is named


@pytest.fixture
def refused(tmp_path):
    """`refused(error, model, **options)`: an export over an older bundle that has to fail; returns the error."""

    def call(error, model, **options):
        target = tmp_path / f"{model.stem}_ncnn_model"
        target.mkdir()
        (target / "manifest.json").write_text("{}")
        before = contents(tmp_path)
        with pytest.raises(error) as caught:
            export(request(model, out=tmp_path, force=True, **options))
        assert contents(tmp_path) == before
        return caught.value

    return call


@pytest.fixture
def converted(exported, monkeypatch):
    """Exports of `model` take what the hops up to pnnx made of it before."""
    monkeypatch.setattr(pipeline, "convert", lambda *_: exported[2][0])


def scale_one_number(weights, factor=1.5):
    """The same weights, but for one number of the first tensor that has one."""
    index = next(index for index, weight in enumerate(weights) if weight.data.dtype == np.float32 and weight.data.size)
    data = weights[index].data.copy()
    data.flat[np.abs(data).argmax()] *= factor
    return (*weights[:index], replace(weights[index], data=data), *weights[index + 1 :])


def test_a_pass_that_scales_a_weight(refused, model, converted, monkeypatch):
    def scale(graph):
        name = next(name for name, weights in graph.weights.items() if weights)
        return replace(graph, weights={**graph.weights, name: scale_one_number(graph.weights[name])}), True

    monkeypatch.setattr(optimise, "PASSES", (*optimise.PASSES, ("scale", scale)))
    error = refused(ParityError, model)
    assert error.where == "ncnn by pnnx -> ncnn fp32"
    assert "relative L2 error" in error.what
    assert "the first wrong value is that of 'stem' (ncnn's stem, given right inputs;" in error.what


def test_a_rewrite_that_scales_a_weight(refused, graph, monkeypatch):
    def scale(proto):
        tensor = next(tensor for tensor in proto.graph.initializer if len(tensor.dims) == 4)
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name)
        )
        return True

    monkeypatch.setattr(simplify, "REWRITES", (("scale", scale),))
    error = refused(ParityError, graph)
    assert error.where == "simplified ONNX -> rewritten ONNX"
    assert "the first wrong value is that of 'conv2d' (ONNX value 'conv2d')" in error.what


def test_a_pnnx_that_flips_a_bit(refused, graph, monkeypatch, tmp_path_factory):
    real = to_ncnn.find_pnnx()
    program = tmp_path_factory.mktemp("pnnx") / "pnnx"
    program.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, subprocess, sys\n"
        f"code = subprocess.run([{str(real)!r}, *sys.argv[1:]]).returncode\n"
        "path = pathlib.Path('model.ncnn.bin')\n"
        "data = bytearray(path.read_bytes())\n"
        "data[7] ^= 0x40\n"  # the exponent of the first number
        "path.write_bytes(data)\n"
        "sys.exit(code)\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(to_ncnn, "find_pnnx", lambda: program)
    error = refused(ParityError, graph)
    assert error.where == "simplified ONNX -> ncnn by pnnx"
    assert "the first wrong value is that of 'conv2d' (ncnn's conv2d, given right inputs;" in error.what


def test_weights_rounded_wrongly(refused, model, converted, monkeypatch):
    to_fp16 = pipeline.to_fp16
    monkeypatch.setattr(pipeline, "to_fp16", lambda param, weights: to_fp16(param, scale_one_number(weights, factor=3)))
    error = refused(ParityError, model, precisions=("fp32", "fp16"))
    assert error.where == "ncnn fp32 -> ncnn fp16"
    assert "the first wrong value is that of 'stem' (ncnn's stem, given right inputs;" in error.what


def test_a_network_for_every_size_that_is_for_one(refused, model, exported_for_any_size, monkeypatch):
    """Right where it was converted, wrong elsewhere."""
    made = iter(exported_for_any_size[2])
    monkeypatch.setattr(pipeline, "convert", lambda *_: next(made))
    monkeypatch.setattr(pipeline, "generalise", lambda models, blobs: (from_model(models[0]), ()))
    error = refused((ParityError, ConversionError), model, dynamic=True)
    assert "ncnn fp32 at 1x3x" in error.where


def test_a_layer_that_ncnn_does_not_know(refused, model, converted, monkeypatch):
    def rename(graph):
        layers = tuple(replace(layer, type="Swoosh") if layer.type == "GroupNorm" else layer for layer in graph.layers)
        return replace(graph, layers=layers), True

    monkeypatch.setattr(optimise, "PASSES", (("rename", rename),))
    error = refused(ConversionError, model)
    assert "ncnn fp32" in error.where


# --- every height and width


def test_any_size_is_right_at_sizes_that_nobody_tried(net, any_size):
    assert worst_error(net, any_size, map(noise, [SHAPE, (1, 3, 31, 57), (1, 3, 64, 20), (1, 3, 10, 9)])) < 1e-5


def test_any_size_through_the_runner(net, any_size):
    array = np.random.default_rng(3).standard_normal((1, 3, 40, 33), np.float32)
    with open_bundle(any_size) as runner, torch.inference_mode():
        found, expected = runner.infer({"image": array})["output"], net(torch.from_numpy(array)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_any_size_says_where_it_was_proven(any_size):
    manifest = json.loads((any_size / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["any_size"] is True
    proven = {c["candidate"].partition(" at ")[2] for c in manifest["parity"]} - {""}
    assert len(proven) >= 3
    assert "x".join(map(str, SHAPE)) not in proven
    assert any(height != width for *_, height, width in (size.split("x") for size in proven))
    assert not any("any other size" in note for note in manifest["notes"])
    listed = {"x".join(map(str, entry["shapes"][0])): entry["samples"] for entry in manifest["proven"]}
    assert set(listed) == {*proven, "x".join(map(str, SHAPE))}
    assert {samples["kind"] for samples in listed.values()} == {"noise"}
    assert manifest["size_step"] == 1


class Normed(nn.Module):
    """A module whose weight is computed anew in every call, until `prepare` folds it."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.utils.weight_norm(nn.Conv2d(3, 8, 3, 2, 1))

    def forward(self, image):
        return self.stem(image).relu()


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of the older weight_norm, the one that can be pickled
def test_any_size_keeps_the_notes_and_tells_which_data_was_used_where(tmp_path, monkeypatch):
    torch.manual_seed(0)
    np.save(tmp_path / "data.npy", np.random.default_rng(0).standard_normal((3, *SHAPE[1:]), np.float32))
    prepared = []
    prepare = conversion.prepare
    monkeypatch.setattr(
        conversion, "prepare", lambda loaded, shapes: prepared.append(shapes) or prepare(loaded, shapes)
    )
    model = save(nn.DataParallel(Normed()).eval(), tmp_path)
    made = export(request(model, dynamic=True, images=tmp_path / "data.npy"))
    assert len(set(prepared)) == len(prepared) == 7
    notes = made.manifest["notes"]
    assert any("1 re-parametrised weights folded" in note for note in notes)
    first, *others = made.manifest["proven"]
    assert first == {
        "shapes": [list(SHAPE)],
        "samples": {"kind": "arrays", "origin": "3 samples of data.npy", "count": 2},
    }
    assert len(others) == 4
    page = (made.bundle / "report.html").read_text(encoding="utf-8")
    for entry in others:
        assert (entry["samples"]["kind"], entry["samples"]["count"]) == ("noise", 1)
        size = "x".join(map(str, entry["shapes"][0]))
        assert any(size in note and "Gaussian noise, seed 0" in note for note in notes)
        assert f"<td>{size}</td>" in page


def test_a_network_for_multiples_of_its_stride(tmp_path):
    torch.manual_seed(0)
    module = Concat().eval()
    made = export(request(save(module, tmp_path), shapes=((1, 3, 32, 64),), dynamic=True))
    assert any("steps of 32" in note for note in made.manifest["notes"])
    assert worst_error(module, made.bundle, map(noise, [(1, 3, 64, 32), (1, 3, 8, 12)])) < 1e-5
    with open_bundle(made.bundle) as runner:
        assert runner.infer({"image": noise((1, 3, 96, 32))})["output"].shape == (1, 4, 96, 32)
        for size in ((33, 65), (8, 12)):  # what the network itself refuses, and what nobody has proven
            with pytest.raises(InputRefusedError, match="steps of 32"):
                runner.infer({"image": noise((1, 3, *size))})


def test_a_network_for_one_size_only(tmp_path):
    path = save(OneSize().eval(), tmp_path)
    with pytest.raises(InputRefusedError, match="other sizes are refused") as caught:
        export(request(path, dynamic=True))
    assert caught.value.where == "--dynamic"
    assert list(tmp_path.iterdir()) == [path]


# --- other networks


def test_a_network_without_attention(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    made = export(request(save(module, tmp_path)))
    assert made.manifest["blocks"] == []
    assert any("no coordinate attention was found" in note for note in made.manifest["notes"])
    assert worst_error(module, made.bundle, map(noise, [SHAPE])) < 1e-5


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (6, 2)])
def test_strips_of_one_number(net, model, tmp_path, size):
    """The stem halves the image, so height or width of the block is 1: right, or refused."""
    shape = (1, 3, *size)
    try:
        made = export(request(model, shapes=(shape,), out=tmp_path))
    except (InputRefusedError, ConversionError, ParityError) as error:
        assert error.where  # noqa: PT017  both ends are allowed
        assert list(tmp_path.iterdir()) == []
        return
    assert worst_error(net, made.bundle, map(noise, [shape])) < 1e-5
    assert [block["name"] for block in made.manifest["blocks"]] == ["block"]
