from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dwca_export.artifacts import TensorSpec
from dwca_export.bundle import write_golden
from dwca_export.templates import write_programs

RELU = "7767517\n2 2\nInput in0 0 1 in0\nReLU relu 1 1 in0 out0\n"
# in0 + in1, and in0 * in1
TWO = (
    "7767517\n6 8\nInput in0 0 1 in0\nInput in1 0 1 in1\nSplit a 1 2 in0 a0 a1\nSplit b 1 2 in1 b0 b1\n"
    "BinaryOp add 2 1 a0 b0 out0 0=0\nBinaryOp mul 2 1 a1 b1 out1 0=2\n"
)


def specs(*shapes, prefix="x"):
    return [TensorSpec(f"{prefix}{index}", shape) for index, shape in enumerate(shapes)]


def write_bundle(folder, param, inputs, outputs, recorded, **sizes):
    """A bundle made by hand: a network without weights, and what it was recorded to compute."""
    (folder / "model.ncnn.param").write_text(param)
    (folder / "model.ncnn.bin").write_bytes(b"")
    feeds, results = recorded
    write_golden(folder / "golden.npz", [feeds], [results], {}, {})
    write_programs(folder, inputs, outputs, tolerance=5e-4, **{"any_size": False, **sizes})


def infer(folder, *arguments):
    command = [sys.executable, str(folder / "infer.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def relu(tmp_path):
    array = np.linspace(-1, 1, 2 * 3 * 5, dtype=np.float32).reshape(1, 2, 3, 5)
    result = np.maximum(array, 0)
    shapes = specs((1, 2, 3, 5))
    write_bundle(tmp_path, RELU, shapes, specs((1, 2, 3, 5), prefix="y"), ({"x0": array}, {"y0": result}))
    return tmp_path


def test_infer_runs_on_the_recorded_sample(relu):
    done = infer(relu)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "y0 (1, 2, 3, 5): largest value 1, largest difference from the record 0\n"


def test_infer_fails_where_the_record_says_something_else(relu):
    with np.load(relu / "golden.npz") as golden:
        feeds, result = {"x0": golden["input/0/x0"]}, golden["output/0/y0"]
    write_golden(relu / "golden.npz", [feeds], [{"y0": result + np.float32(1e-3)}], {}, {})
    done = infer(relu)
    assert done.returncode == 1
    assert "y0 is not what was recorded" in done.stderr
    write_golden(relu / "golden.npz", [feeds], [{"y0": np.full_like(result, np.nan)}], {}, {})
    assert infer(relu).returncode == 1


def test_infer_runs_on_a_file(relu, tmp_path):
    np.save(tmp_path / "a.npy", np.full((1, 2, 3, 5), 7, np.float32))
    done = infer(relu, tmp_path / "a.npy")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("y0 (1, 2, 3, 5)")
    assert "7." in done.stdout


@pytest.mark.parametrize("shape", [(1, 2, 3, 6), (1, 2, 4, 5), (1, 3, 3, 5), (2, 3, 5), (2, 2, 3, 5)])
def test_infer_refuses_another_shape(relu, tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.float32))
    done = infer(relu, tmp_path / "a.npy")
    assert done.returncode == 1
    assert done.stderr == f"input 'x0' has shape {shape}, the network takes (1, 2, 3, 5)\n"


@pytest.mark.parametrize("missing", ["model.ncnn.param", "model.ncnn.bin"])
def test_infer_refuses_a_bundle_with_a_file_missing(relu, missing):
    (relu / missing).unlink()
    done = infer(relu)
    assert done.returncode == 1
    assert done.stderr == f"there is no {relu / missing}\n"


def test_infer_wants_one_file_per_input(relu, tmp_path):
    done = infer(relu, tmp_path / "a.npy", tmp_path / "b.npy")
    assert done.returncode == 1
    assert done.stderr == "give no file, or one .npy for each input: x0\n"


def test_infer_for_every_size_lets_height_and_width_through(tmp_path):
    array = np.ones((1, 2, 3, 5), np.float32)
    recorded = ({"x0": array}, {"y0": array})
    outputs = specs((1, 2, 3, 5), prefix="y")
    write_bundle(tmp_path, RELU, specs((1, 2, 3, 5)), outputs, recorded, any_size=True)
    for shape, code in (((1, 2, 9, 4), 0), ((1, 3, 3, 5), 1), ((1, 2, 0, 5), 1)):
        np.save(tmp_path / "a.npy", np.ones(shape, np.float32))
        assert infer(tmp_path, tmp_path / "a.npy").returncode == code


def test_infer_for_steps_refuses_what_lies_between(tmp_path):
    array = np.ones((1, 2, 3, 5), np.float32)
    sizes = {"any_size": True, "size_step": 4}
    write_bundle(
        tmp_path, RELU, specs(array.shape), specs(array.shape, prefix="y"), ({"x0": array}, {"y0": array}), **sizes
    )
    for shape, code in (((1, 2, 11, 1), 0), ((1, 2, 8, 5), 1), ((1, 2, 3, 4), 1)):
        np.save(tmp_path / "a.npy", np.ones(shape, np.float32))
        assert infer(tmp_path, tmp_path / "a.npy").returncode == code
    assert "in steps of 4 from these" in (tmp_path / "main.cpp").read_text(encoding="utf-8")


def test_infer_with_several_inputs_and_outputs(tmp_path):
    a, b = (np.arange(6, dtype=np.float32).reshape(1, 2, 3) + offset for offset in (0, 10))
    recorded = ({"x0": a, "x1": b}, {"y0": a + b, "y1": a * b})
    write_bundle(tmp_path, TWO, specs((1, 2, 3), (1, 2, 3)), specs((1, 2, 3), (1, 2, 3), prefix="y"), recorded)
    done = infer(tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^y\d", done.stdout, re.MULTILINE) == ["y0", "y1"]


@pytest.mark.parametrize("name", ['say "hi"', "back\\slash", "grün $inputs", "a.b/c", "'; import os"])
def test_names_are_taken_as_they_are(tmp_path, name):
    array = np.ones((1, 2, 3, 5), np.float32)
    inputs, outputs = [TensorSpec(name, array.shape)], [TensorSpec(name, array.shape)]
    write_bundle(tmp_path, RELU, inputs, outputs, ({name: array}, {name: array}))
    done = infer(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{name} (1, 2, 3, 5)")
    ran = compile_and_run(tmp_path)
    assert f"# {name}\n" in ran.stdout


def compile_program(folder):
    """Compile `main.cpp` (once) against the stand-in for ncnn beside this test; every warning is an error."""
    if (folder / "main").exists():
        return folder / "main"
    if shutil.which("g++") is None:
        pytest.fail("g++ is needed to check main.cpp: apt-get install g++")
    command = ["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-I", str(Path(__file__).parent)]
    subprocess.run([*command, "main.cpp", "-o", "main"], cwd=folder, check=True, timeout=120)
    return folder / "main"


def compile_and_run(folder, *arguments, files=("model.ncnn.param", "model.ncnn.bin")):
    command = [str(compile_program(folder)), *(str(folder / name) for name in files), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def program(tmp_path):
    """`program(*shapes)`: a folder with `main.cpp` for inputs of these shapes, and files that can be loaded."""

    def write(*shapes, outputs=1):
        write_programs(tmp_path, specs(*shapes), specs(*shapes[:outputs], prefix="y"), any_size=False, tolerance=1e-3)
        for name in ("model.ncnn.param", "model.ncnn.bin", "failing.bin"):
            (tmp_path / name).write_bytes(b"")
        return tmp_path

    return write


def given(printed, name):
    """The tensor that the network was given as `name`, by coordinates (c, d, h, w)."""
    body = printed.partition(f"input {name} dims ")[2].partition("input")[0]
    lines = [line.split() for line in body.splitlines()[1:] if re.fullmatch(r"(\d+ ){4}\S+", line)]
    return int(body.split()[0]), {tuple(map(int, line[:4])): float(line[4]) for line in lines}


SHAPES = [(1, 7), (1, 3, 5), (1, 3, 2, 5), (1, 3, 4, 2, 5)]


def misplaced(printed, shape):
    """Places where the network was not given the ramp in the order of numpy."""
    dims, values = given(printed, "in0")
    assert dims == len(shape) - 1
    ramp = (np.arange(np.prod(shape), dtype=np.float32) / np.prod(shape)).reshape(in_four(shape))
    assert len(values) == ramp.size
    return [place for place in np.ndindex(ramp.shape) if values.get(place) != pytest.approx(ramp[place], rel=1e-6)]


@pytest.mark.parametrize("shape", SHAPES)
def test_main_feeds_a_ramp_in_the_order_of_numpy(program, shape):
    ran = compile_and_run(program(shape))
    assert ran.returncode == 0, ran.stderr
    assert not misplaced(ran.stdout, shape)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("((float*)mat.channel(q))[i] =", "((float*)mat)[q * plane + i] ="),
        ("mat.create(input.w, input.h, input.c)", "mat.create(input.h, input.w, input.c)"),
    ],
)
def test_a_main_that_misplaces_numbers_is_found(program, right, wrong):
    shape = (1, 3, 2, 5)
    main = program(shape) / "main.cpp"
    text = main.read_text()
    assert right in text
    main.write_text(text.replace(right, wrong))
    assert misplaced(compile_and_run(main.parent).stdout, shape)


def in_four(shape):
    """Sizes as (c, d, h, w), where ncnn puts those of fewer axes."""
    sizes = shape[1:]
    return {1: (1, 1, 1, *sizes), 2: (1, 1, *sizes), 3: (sizes[0], 1, *sizes[1:]), 4: sizes}[len(sizes)]


@pytest.mark.parametrize("shape", SHAPES)
def test_main_prints_in_the_order_of_numpy(program, shape):
    ran = compile_and_run(program(shape))
    c, d, h, w = np.indices(in_four(shape))
    printed = ran.stdout.partition("# y0\n")[2].split()
    assert list(map(float, printed)) == (c * 1000 + d * 100 + h * 10 + w).ravel().tolist()


def test_main_reads_inputs_from_files(program, tmp_path):
    folder = program((1, 3, 2, 5), (1, 4))
    array = np.random.default_rng(0).standard_normal((1, 3, 2, 5), np.float32)
    array.tofile(tmp_path / "x0.raw")
    np.arange(4, dtype=np.float32).tofile(tmp_path / "x1.raw")
    ran = compile_and_run(folder, tmp_path / "x0.raw", tmp_path / "x1.raw")
    _, values = given(ran.stdout, "in0")
    assert all(value == pytest.approx(array[0, c, h, w], rel=1e-6) for (c, _, h, w), value in values.items())
    _, values = given(ran.stdout, "in1")
    assert [values[0, 0, 0, x] for x in range(4)] == [0, 1, 2, 3]


def test_main_asks_for_every_output_in_full_precision(program):
    ran = compile_and_run(program((1, 3), (1, 4), outputs=2))
    assert "fp16 000\n" in ran.stdout
    assert re.findall(r"extract (\w+)", ran.stdout) == ["out0", "out1"]
    assert re.findall(r"# (\w+)", ran.stdout) == ["y0", "y1"]


def test_main_says_what_is_wrong(program, tmp_path):
    folder = program((1, 3, 2, 5))
    ran = compile_and_run(folder, files=())
    assert ran.returncode == 2
    assert "usage:" in ran.stderr
    ran = compile_and_run(folder, files=("model.ncnn.param", "nothing.bin"))
    assert (ran.returncode, "does not load" in ran.stderr) == (1, True)
    ran = compile_and_run(folder, files=("model.ncnn.param", "failing.bin"))
    assert (ran.returncode, "fails to compute y0" in ran.stderr) == (1, True)
    (tmp_path / "short.raw").write_bytes(b"1234")
    ran = compile_and_run(folder, tmp_path / "short.raw")
    assert (ran.returncode, "does not hold the 30 numbers of input x0" in ran.stderr) == (1, True)
    ran = compile_and_run(folder, tmp_path / "nowhere.raw")
    assert ran.returncode == 1


def test_programs_hold_no_folder_and_no_time(program):
    folder = program((1, 3))
    first = {name: (folder / name).read_bytes() for name in ("infer.py", "main.cpp", "CMakeLists.txt")}
    program((1, 3))
    assert first == {name: (folder / name).read_bytes() for name in first}
    assert str(folder) not in json.dumps([text.decode() for text in first.values()])


@pytest.mark.parametrize(("any_size", "said"), [(True, "takes every height and width"), (False, "these sizes only")])
def test_main_says_for_which_sizes_it_is(tmp_path, any_size, said):
    write_programs(tmp_path, specs((1, 3, 4, 4)), specs((1, 2)), any_size=any_size, tolerance=1e-3)
    assert said in (tmp_path / "main.cpp").read_text(encoding="utf-8")
