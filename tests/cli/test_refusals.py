"""Input that cannot be used: a clear error, the right code, nothing written, an older bundle untouched."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from commands import ARCH, PROGRAM, SHAPE, child_environment, contents
from torch import nn

from dwca_export import conversion, to_ncnn


@pytest.fixture
def place(tmp_path):
    """A folder with an older bundle of a model named `bad`."""
    target = tmp_path / "bad_ncnn_model"
    target.mkdir()
    (target / "manifest.json").write_text("{}")
    (target / "model.ncnn.bin").write_bytes(b"old")
    return tmp_path


@pytest.fixture
def refused(invoke, place):
    """`refused(code, *arguments)`: the command over the older bundle has to fail so; returns its error."""

    def call(code, *arguments, out=place):
        before = contents(place)
        ran = invoke(*arguments, "--out", out, "--force")
        assert ran.code == code, ran.err
        assert ran.out == ""
        assert contents(place) == before
        errors = ran.err[ran.err.index("error: ") :]
        assert "Traceback" not in errors
        what, _, hint = errors.partition("\n  -> ")
        assert hint.strip(), errors
        assert len(what) < 600
        return errors

    return call


# --- the command line


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["--bogus"], ["No such option", "--bogus"]),
        (["--shape", "banana"], ["--shape", "'banana' is not an input shape", "1x3x224x224"]),
        (["--shape", "1x3x0x16"], ["--shape", "has a dimension below 1"]),
        (["--shape", "1x3x-4x16"], ["--shape", "is not an input shape"]),
        (["--shape", "224"], ["--shape", "fewer than two dimensions"]),
        (["--shape", ""], ["--shape", "is not an input shape"]),
        (["--precision", "int8"], ["--precision", "'int8' is unknown", "fp32,fp16"]),
        (["--precision", "fp32,fp32"], ["--precision", "unknown"]),
        (["--precision", ""], ["--precision", "unknown"]),
        (["--arch", ARCH, "--arch-args", "{width: 1}"], ["--arch-args", "not JSON"]),
        (["--arch", ARCH, "--arch-args", "[1]"], ["--arch-args", "not a JSON object"]),
        (["--arch-args", "{}"], ["--arch-args", "needs --arch"]),
        (["--arch", "nowhere.py:f"], ["--arch", "nowhere.py"]),
        (["--samples", "0"], ["--samples", "1"]),
        (["--samples", "many"], ["--samples", "integer"]),
        (["--timeout", "0"], ["--timeout", "0.01"]),
        (["--seed", "-1"], ["--seed"]),
        (["--trust", "a package"], ["--trust", "not a package name"]),
        (["--images", "nowhere"], ["--images", "no such file or folder: nowhere"]),
        (["second.pt"], ["second.pt"]),
    ],
)
def test_a_command_line_that_cannot_be_obeyed(refused, models, place, arguments, fragments):
    shutil.copy(models / "state.pt", place / "bad.pt")
    error = refused(2, place / "bad.pt", *arguments)
    assert all(fragment in error for fragment in fragments), error


def test_no_model_at_all(invoke):
    ran = invoke()
    assert (ran.code, ran.out) == (2, "")
    assert "Missing argument 'MODEL'" in ran.err


def test_an_older_bundle_needs_force(invoke, models, place):
    shutil.copy(models / "state.pt", place / "bad.pt")
    before = contents(place)
    ran = invoke(place / "bad.pt", "--arch", ARCH, "--shape", SHAPE)
    assert ran.code == 2
    assert f"{place / 'bad_ncnn_model'}: exists already" in ran.err
    assert "--force" in ran.err
    assert contents(place) == before


# --- the file


def write_text(path):
    path.write_text("not a model\n" * 40)


def write_nothing(path):
    path.write_bytes(b"")


def write_folder(path):
    path.mkdir()


def write_empty_dict(path):
    torch.save({}, path)


def write_numbers(path):
    torch.save([1, 2, 3], path)


@pytest.mark.parametrize(
    ("write", "fragments"),
    [
        (lambda path: None, ["there is no such file", "good.pt"]),
        (write_text, ["a text file, not a model", "expected"]),
        (write_nothing, ["the file is empty"]),
        (write_folder, ["this is a folder"]),
        (write_empty_dict, ["load"]),
        (write_numbers, ["load"]),
    ],
)
def test_files_that_are_no_model(refused, place, write, fragments):
    (place / "good.pt").write_text("not this one")
    write(place / "bad.pt")
    error = refused(3, place / "bad.pt", "--arch", ARCH, "--shape", SHAPE)
    assert str(place / "bad.pt") in error
    assert all(fragment in error for fragment in fragments), error


@pytest.mark.parametrize("name", ["state.pt", "script.pt", "program.pt2", "graph.onnx"])
@pytest.mark.parametrize("share", [0.3, 0.98])
def test_truncated_files(refused, models, place, name, share):
    data = (models / name).read_bytes()
    path = place / f"bad{Path(name).suffix}"
    path.write_bytes(data[: int(len(data) * share)])
    arch = ["--arch", ARCH] if name == "state.pt" else []
    refused(3, path, *arch, "--shape", SHAPE)


def test_a_model_in_a_folder_that_is_not_there(refused, place):
    error = refused(3, place / "nowhere" / "bad.pt", out=place / "nowhere")
    assert f"no folder {place / 'nowhere'} either" in error


def test_missing_and_unexpected_keys_are_listed(refused, models, place):
    state = torch.load(models / "state.pt")
    del state["stem.weight"], state["head.bias"]
    state["neck.weight"] = torch.zeros(3)
    torch.save(state, place / "bad.pt")
    error = refused(3, place / "bad.pt", "--arch", ARCH, "--shape", SHAPE)
    assert all(key in error for key in ("stem.weight", "head.bias", "neck.weight")), error


def test_weights_of_another_size(refused, models, place):
    shutil.copy(models / "state.pt", place / "bad.pt")
    error = refused(3, place / "bad.pt", "--arch", ARCH, "--arch-args", '{"classes": 7}', "--shape", SHAPE)
    assert "head.weight" in error


def test_arguments_that_the_factory_does_not_take(refused, models, place):
    shutil.copy(models / "state.pt", place / "bad.pt")
    error = refused(2, place / "bad.pt", "--arch", ARCH, "--arch-args", '{"depth": 3}', "--shape", SHAPE)
    assert all(fragment in error for fragment in ("--arch-args", "depth=3", "its arguments are (", "classes")), error


def test_a_state_dict_without_arch(refused, models, place):
    shutil.copy(models / "state.pt", place / "bad.pt")
    assert "--arch" in refused(3, place / "bad.pt", "--shape", SHAPE)


@pytest.mark.parametrize(
    ("shape", "fragments"),
    [
        ("1x4x24x16", ["does not run on 1x4x24x16", "--shape"]),
        ("2x3x24x16", ["2x3x24x16", "one sample at a time"]),
        ("1x3x24", ["1x3x24"]),
    ],
)
def test_shapes_that_the_network_does_not_take(refused, models, place, shape, fragments):
    shutil.copy(models / "state.pt", place / "bad.pt")
    error = refused(3, place / "bad.pt", "--arch", ARCH, "--shape", shape)
    assert all(fragment in error for fragment in fragments), error


class Valid(nn.Module):
    """Convolutions without padding, which a small image does not survive."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 5), nn.MaxPool2d(2), nn.Conv2d(4, 4, 5))

    def forward(self, image):
        return self.layers(image)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit
def test_an_image_too_small_for_the_network(refused, place):
    torch.jit.trace(Valid(), torch.zeros(1, 3, 32, 32)).save(str(place / "bad.pt"))
    error = refused(3, place / "bad.pt", "--shape", "1x3x10x10")
    assert "1x3x10x10" in error
    assert "RuntimeError: Calculated padded input size" in error or "Kernel size can't be greater" in error, error


# --- the data


def test_a_folder_without_images(refused, relu_onnx, place):
    (place / "photos").mkdir()
    (place / "photos" / "notes.txt").write_text("none yet")
    shutil.copy(relu_onnx, place / "bad.onnx")
    assert "no image in the folder" in refused(3, place / "bad.onnx", "--images", place / "photos")


@pytest.mark.parametrize("name", ["photo.png", "data.npy", "data.npz", "data.txt"])
def test_data_that_is_none(refused, relu_onnx, place, name):
    data = place / "data" / name
    data.parent.mkdir()
    data.write_text("nothing")
    shutil.copy(relu_onnx, place / "bad.onnx")
    refused(3, place / "bad.onnx", "--images", data.parent if name == "photo.png" else data)


def test_data_of_another_shape(refused, relu_onnx, place):
    np.save(place / "data.npy", np.zeros((4, 3, 9, 9), np.float32))
    shutil.copy(relu_onnx, place / "bad.onnx")
    assert "wants float32" in refused(3, place / "bad.onnx", "--images", place / "data.npy")


# --- converters


def test_a_time_limit_that_is_too_short_names_the_hop(refused, relu_onnx, place):
    shutil.copy(relu_onnx, place / "bad.onnx")
    error = refused(4, place / "bad.onnx", "--timeout", "0.01")
    assert "takes more than 0.01 s" in error
    assert "raise --timeout" in error
    assert error.startswith(("error: simplify", "error: to_ncnn"))


PNNX = {
    "crashes": ("os.kill(os.getpid(), 11)", 4, ["to_ncnn", "SIGSEGV"]),
    "fails": ("print('out of luck'); sys.exit(3)", 4, ["to_ncnn", "exit code 3", "out of luck"]),
    "hangs": ("time.sleep(60)", 4, ["to_ncnn", "takes more than 0.5 s"]),
    "ignores": ("real(); print('ignore Conv conv_0 param dilations')", 4, ["to_ncnn", "ignore Conv conv_0"]),
    "writes nothing": ("", 4, ["to_ncnn", "wrote no ncnn model"]),
    "writes a layer that ncnn does not know": ("real(); swap('ReLU ', 'Swoosh ')", 4, ["Swoosh"]),
    "writes half a bin": ("real(); swap('ReLU ', 'PReLU ', more='0=3')", 4, ["bin"]),
    "computes something else": ("real(); swap('ReLU ', 'Sigmoid ')", 5, ["ncnn by pnnx", "relative L2 error"]),
}


@pytest.mark.parametrize("fault", PNNX)
def test_a_converter_at_fault(refused, relu_onnx, place, monkeypatch, tmp_path_factory, fault):
    code, expected, fragments = PNNX[fault]
    program = tmp_path_factory.mktemp("pnnx") / "pnnx"
    program.write_text(
        f"""#!{sys.executable}
import os, pathlib, subprocess, sys, time

def real():
    subprocess.run([{str(to_ncnn.find_pnnx())!r}, *sys.argv[1:]], check=True)

def swap(old, new, more=""):
    path = pathlib.Path("model.ncnn.param")
    lines = path.read_text().splitlines()
    lines = [f"{{line.replace(old, new)}} {{more}}" if old in line else line for line in lines]
    path.write_text("\\n".join([*lines, ""]))

{code}
"""
    )
    program.chmod(0o755)
    monkeypatch.setattr(to_ncnn, "find_pnnx", lambda: program)
    if fault == "hangs":  # a short --timeout would end the hops before on a busy machine
        convert = to_ncnn.to_ncnn
        monkeypatch.setattr(conversion, "to_ncnn", lambda model, timeout: convert(model, timeout=0.5))
    shutil.copy(relu_onnx, place / "bad.onnx")
    error = refused(expected, place / "bad.onnx")
    assert all(fragment in error for fragment in fragments), error


# --- the place


@pytest.fixture
def open_folder():
    """A folder that every user may enter, unlike pytest's own; yields it, and gives up root's rights meanwhile."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def unprivileged():
    """`with unprivileged:` the file system treats this process as an ordinary user's."""

    class Unprivileged:
        def __enter__(self):
            self.root = os.geteuid() == 0
            if self.root:
                os.seteuid(65534)

        def __exit__(self, *_):
            if self.root:
                os.seteuid(0)

    return Unprivileged()


def test_a_folder_that_cannot_be_written_to(invoke, relu_onnx, open_folder, unprivileged):
    model = open_folder / "model.onnx"
    shutil.copy(relu_onnx, model)
    out = open_folder / "out"
    out.mkdir(mode=0o555)
    for target in (out, out / "deeper", out / "x_ncnn_model"):
        with unprivileged:
            ran = invoke(model, "--out", target)
        assert ran.code == 2, ran.err
        assert "Permission denied" in ran.err
        assert str(out) in ran.err
        assert "--out" in ran.err
    assert list(out.iterdir()) == []


def test_a_folder_that_cannot_be_entered(invoke, relu_onnx, open_folder, unprivileged):
    model, out = open_folder / "model.onnx", open_folder / "out"
    shutil.copy(relu_onnx, model)
    with unprivileged:
        out_of = Path(tempfile.mkdtemp())  # it is theirs
        out_of.chmod(0o000)
    try:
        with unprivileged:
            ran = invoke(model, "--out", out_of / "deeper")
            hidden = invoke(out_of / "model.onnx", "--out", open_folder)
    finally:
        out_of.chmod(0o755)
        shutil.rmtree(out_of)
    assert (ran.code, "Permission denied" in ran.err) == (2, True), ran.err
    assert (hidden.code in (2, 3), "ermission denied" in hidden.err) == (True, True), hidden.err
    assert not out.exists()


def test_a_target_that_is_no_bundle(invoke, relu_onnx, tmp_path):
    target = tmp_path / "relu_ncnn_model"
    target.mkdir()
    (target / "thesis.txt").write_text("ten years")
    before = contents(tmp_path)
    ran = invoke(relu_onnx, "--out", tmp_path, "--force")
    assert ran.code == 2
    assert "is not a bundle, and is not replaced" in ran.err
    assert contents(tmp_path) == before


def test_a_file_that_may_not_grow(place, models):
    """The limit on the size of files stands for a full disk: the system refuses to write, in the middle."""
    shutil.copy(models / "graph.onnx", place / "bad.onnx")
    before = contents(place)
    done = subprocess.run(
        [PROGRAM, place / "bad.onnx", "--force"],
        env=child_environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (2, 4), done.stderr
    assert "Traceback" not in done.stderr
    assert contents(place) == before


def test_a_full_disk(models, tmp_path):
    """A real one: a file system of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small file system")
    try:
        done = subprocess.run(
            [PROGRAM, models / "graph.onnx", "--out", disk / "new", "--json"],
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        left = list(disk.iterdir())
    finally:
        subprocess.run([shutil.which("umount"), str(disk)], check=True)
    assert done.returncode == 2, done.stderr
    error = json.loads(done.stdout)["error"]
    assert "No space left on device" in error["what"]
    assert str(disk) in error["where"]
    assert left == []


# --- paths, networks


def test_paths_with_spaces_and_other_letters(invoke, relu_onnx, tmp_path, monkeypatch):
    folder = tmp_path / "grüne Äpfel 日本"
    folder.mkdir()
    shutil.copy(relu_onnx, folder / "mein Netz ✓.onnx")
    monkeypatch.chdir(folder)
    ran = invoke("mein Netz ✓.onnx", "--out", "für das Gerät")
    assert ran.code == 0, ran.err
    bundle = folder / "für das Gerät" / "mein Netz ✓_ncnn_model"
    assert ran.out.splitlines()[-1] == f"bundle: {bundle}"
    command = [sys.executable, bundle / "infer.py"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", ["bad\udcff.onnx", "folder\udcff/bad.onnx"])
def test_a_model_whose_path_is_no_utf8(invoke, relu_onnx, tmp_path, name):
    model = tmp_path / name
    model.parent.mkdir(exist_ok=True)
    shutil.copy(relu_onnx, model)
    before = contents(tmp_path)
    for out in ([], ["--out", tmp_path]):
        ran = invoke(model, *out)
        assert ran.code == 3, ran.err
        assert (
            f"error: load: {str(model).encode('ascii', 'backslashreplace').decode()}: the path is not UTF-8" in ran.err
        )
        assert "rename" in ran.err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["out\udcff", "x\udcff_ncnn_model"])
def test_a_bundle_whose_path_is_no_utf8(invoke, relu_onnx, tmp_path, name):
    ran = invoke(relu_onnx, "--out", tmp_path / name)
    assert ran.code == 2, ran.err
    assert "the path is not UTF-8" in ran.err
    assert "--out" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_data_whose_path_is_no_utf8(invoke, relu_onnx, tmp_path):
    data = tmp_path / "data\udcff.npy"
    with data.open("wb") as file:
        np.save(file, np.random.default_rng(0).standard_normal((3, 3, 8, 6), np.float32))
    ran = invoke(relu_onnx, "--out", tmp_path / "out", "--images", data)
    assert ran.code == 0, ran.err
    assert r"3 samples of data\udcff.npy" in ran.out


def test_a_network_without_attention_is_exported_and_says_so(invoke, relu_onnx, tmp_path):
    ran = invoke(relu_onnx, "--out", tmp_path)
    assert ran.code == 0
    assert "note: no coordinate attention was found" in ran.out


def test_an_onnx_that_lies_about_its_opset(refused, place):
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 3, 4, 4))
    other = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, 3, 4, 4))
    graph = onnx.helper.make_graph([onnx.helper.make_node("Nonsense", ["x"], ["y"])], "g", [value], [other])
    onnx.save(onnx.helper.make_model(graph, ir_version=10), place / "bad.onnx")
    assert "Nonsense" in refused(3, place / "bad.onnx")
