"""pnnx as a child process: what it writes when all is well, and every way in which it can fail."""

from __future__ import annotations

import sys
import tempfile
from functools import cache

import numpy as np
import pytest
from small_graphs import noise, onnx_model, proto, run_ncnn, run_ort

from dwca_export import to_ncnn as hop
from dwca_export.errors import ConversionError
from dwca_export.ncnn.weights import write_weights
from dwca_export.to_ncnn import find_pnnx, to_ncnn

SHAPE = (1, 3, 8, 6)


@cache
def model():
    """Two inputs, two outputs; the convolution is tapped."""
    nodes = [
        ("Conv", ["a", "w"], ["c"], {"pads": [1, 1, 1, 1]}),
        ("Add", ["c", "b"], ["sum"], {}),
        ("MaxPool", ["c"], ["pooled"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ]
    weights = noise({"w": (4, 3, 3, 3)})
    outputs = {"sum": (1, 4, 8, 6), "pooled": (1, 4, 4, 3)}
    return onnx_model(proto(nodes, {"a": SHAPE, "b": (1, 4, 8, 6)}, outputs, weights))


@cache
def converted():
    return to_ncnn(model())


@pytest.fixture
def written(tmp_path):
    """The files that pnnx writes for `model`, for a fake to copy or damage."""
    param, data = tmp_path / "good.param", tmp_path / "good.bin"
    param.write_text(converted().param.text())
    data.write_bytes(write_weights(converted().weights))
    return param, data


@pytest.fixture
def fake(tmp_path):
    """`fake(body)`: a program that runs this Python in the place of pnnx."""

    def make(body, folder="fake pnnx"):
        program = tmp_path / folder / "pnnx"
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable} -ISB\nimport os, pathlib, signal, sys, time\n{body}\n")
        program.chmod(0o755)
        return program

    return make


def copying(written, *, param="param", data="data"):
    """Write the good files, each passed through an expression."""
    return (
        f"param = pathlib.Path({str(written[0])!r}).read_text()\n"
        f"data = pathlib.Path({str(written[1])!r}).read_bytes()\n"
        f"pathlib.Path('model.ncnn.param').write_text({param})\n"
        f"pathlib.Path('model.ncnn.bin').write_bytes({data})"
    )


def refused(program, **options):
    with pytest.raises(ConversionError) as caught:
        to_ncnn(model(), pnnx=program, **options)
    assert caught.value.exit_code == 4
    return caught.value


def test_pnnx_itself():
    result = converted()
    assert result.inputs == model().inputs
    assert result.outputs == model().outputs
    assert result.taps == ("c",)
    assert {weight.storage for weight in result.weights} == {"fp32"}
    feeds = noise({"a": SHAPE, "b": (1, 4, 8, 6)}, seed=1)
    expected, actual = run_ort(model().proto, feeds), run_ncnn(result, feeds)
    assert list(actual) == list(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, rtol=1e-5, atol=1e-5)


def test_folders_with_spaces_and_letters_of_other_languages(tmp_path, monkeypatch):
    folder = tmp_path / "Ñandú 鳥 temp dir"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert to_ncnn(model()).param.text() == converted().param.text()
    assert list(folder.iterdir()) == []


def test_a_fake_that_works_passes(fake, written, tmp_path, monkeypatch):
    """The other fakes fail by their fault alone. Also: a relative path, and what pnnx is told."""
    monkeypatch.chdir(tmp_path)
    program = fake(
        f"pathlib.Path({str(tmp_path / 'arguments')!r}).write_text(' '.join(sys.argv[1:]))\n" + copying(written)
    )
    assert to_ncnn(model(), pnnx=program.relative_to(tmp_path)).param.text() == converted().param.text()
    # pnnx stores weights in fp16 unless told otherwise.
    assert (tmp_path / "arguments").read_text() == "model.onnx fp16=0"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "pnnx ends with SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "pnnx ends with SIGKILL"),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 1)", f"pnnx ends with signal {35}"),
        ("print('a'); print('b'); print('last words', file=sys.stderr); sys.exit(3)", "pnnx ends with exit code 3"),
        ("print('last words')", "pnnx wrote no ncnn model"),
        ("pathlib.Path('model.ncnn.param').write_text('7767517\\n')", "pnnx wrote no ncnn model"),
        ("pathlib.Path('model.ncnn.bin').write_text('')", "pnnx wrote no ncnn model"),
    ],
)
def test_pnnx_that_fails(fake, body, what):
    error = refused(fake(body))
    assert error.what == what
    assert error.where == "to_ncnn"
    assert ("last words" in error.hint) == ("last words" in body)


def test_pnnx_that_hangs_is_stopped(fake):
    error = refused(fake("time.sleep(60)"), timeout=1.0)
    assert error.what == "pnnx takes more than 1 s"


@pytest.mark.parametrize(
    "line",
    [
        "ignore ReduceMax ReduceMax_1 param axes=(-2,-1)",
        "  ignore pnnx.Expression pnnx_expr_0 param expr=add(@0,1)",
        "slice with step 2 is not supported",
        "unsupported interpolate mode nearest-exact",
        "permute 5-rank tensor with 6-rank dims is not possible",
        "cat axis around batch axis 0 is unknown",
        "can not resolve pads without shape",
        "transpose invalid dim 1 2 for 3-rank tensor",
        "mean along batch axis is not supported yet (not the whole line)",
    ],
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_pnnx_that_leaves_something_out(fake, written, line, stream):
    error = refused(fake(f"print({line!r}, file=sys.{stream})\n" + copying(written)))
    assert error.what == f"pnnx left something out: {line.strip()}"


@pytest.mark.parametrize(
    "line", ["pass_level5 ...", "fold_constants ... 0.1ms", "the unknown_op_name is fine", "ignored"]
)
def test_what_pnnx_may_say(fake, written, line):
    assert to_ncnn(model(), pnnx=fake(f"print({line!r})\n" + copying(written))).taps == ("c",)


@pytest.mark.parametrize(("keepdims", "passes"), [(1, True), (0, False)])
def test_a_batch_axis_that_is_left_out_of_a_reduction_has_to_stay(fake, written, keepdims, passes):
    nodes = [("ReduceMean", ["x", "axes"], ["y"], {"keepdims": keepdims}), ("Relu", ["y"], ["z"], {})]
    graph = proto(nodes, {"x": SHAPE}, {"z": None}, {"axes": np.array([0, 1], np.int64)}).graph
    assert hop._keeps_batch(graph) is passes
    said = "mean along batch axis is not supported yet"
    if passes:
        hop._refuse_complaints(said, keeps_batch=True)
    with pytest.raises(ConversionError, match="left something out"):
        hop._refuse_complaints(said, keeps_batch=False)


PARAMS = {
    "a layer that ncnn does not know": ("param.replace('Pooling ', 'pnnx.Pool ')", "pnnx.Pool is no layer type"),
    "a custom layer": ("param.replace('Pooling ', 'MyPool ')", "MyPool is no layer type"),
    "nothing": ("''", "no ncnn param"),
    "garbage": ("'hello\\nworld\\n'", "no ncnn param"),
    "cut off": ("param[:len(param) // 2]", "cut off"),
    "a layer too few": ("'\\n'.join(param.splitlines()[:-1]) + '\\n'", "announces"),
    "an output lost": ("param.replace(' out1', ' other')", "pnnx lost ['out1']"),
    "a tap lost": ("param.replace(' out2', ' other')", "pnnx lost ['out2']"),
    "an input renamed": ("param.replace('in1', 'in2')", "pnnx lost ['in1'] and added ['in2']"),
    "no number where one belongs": ("param.replace('0=4', '0=four', 1)", "'four', not an integer"),
    "an unreadable number": ("param.replace('0=4', '0=4x', 1)", "0=4x"),
}


@pytest.mark.parametrize(("param", "what"), PARAMS.values(), ids=PARAMS)
def test_a_param_that_is_wrong(fake, written, param, what):
    assert what in refused(fake(copying(written, param=param))).what


def test_a_param_that_is_no_text(fake, written):
    body = copying(written) + "\npathlib.Path('model.ncnn.param').write_bytes(b'\\xff\\xfe\\x00 7767517')"
    assert refused(fake(body)).what == "pnnx wrote no ncnn model"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("data[:-4]", "cut off"),
        ("b''", "no known storage tag"),
        ("data + b'1234'", "belong to no layer"),
        ("data[4:]", "tag"),
    ],
)
def test_a_bin_that_does_not_belong_to_the_param(fake, written, data, what):
    error = refused(fake(copying(written, data=data)))
    assert what in error.what
    assert "ncnn bin" in error.where


def test_reductions_over_nothing_are_refused(fake, written):
    """ncnn loads them and returns their input."""
    pooling = next(layer for layer in converted().param.layers if layer.type == "Pooling")
    line = f"Reduction {pooling.name} 1 1 {pooling.bottoms[0]} {pooling.tops[0]}"
    for parameters, fine in (("0=3 1=0 -23303=0 4=1 5=1", False), ("0=3 1=0 -23303=1,1 4=1", True), ("0=3 1=1", True)):
        lines = written[0].read_text().splitlines()
        at = next(index for index, text in enumerate(lines) if text.startswith("Pooling"))
        lines[at] = f"{line} {parameters}"
        program = fake(copying(written, param=repr("\n".join(lines) + "\n")), folder=parameters)
        if fine:
            to_ncnn(model(), pnnx=program)
        else:
            error = refused(program)
            assert "empty list of axes" in error.what
            assert error.where == f"to_ncnn, layer {pooling.name} (Reduction)"


def test_a_program_that_cannot_be_run(tmp_path):
    text = tmp_path / "text"
    text.write_text("no program")
    for path in (tmp_path / "missing", text, tmp_path):
        assert "pnnx cannot be run" in refused(path).what
    text.chmod(0o755)
    assert "pnnx cannot be run" in refused(text).what


def test_find_pnnx():
    assert find_pnnx().is_file()


@pytest.mark.parametrize("operator", ["ReduceMin", "ReduceLogSum"])
def test_what_pnnx_does_not_know_is_refused_by_name(operator):
    nodes = [("Conv", ["x", "w"], ["c"], {}), (operator, ["c", "axes"], ["y"], {})]
    weights = {**noise({"w": (4, 3, 1, 1)}), "axes": np.array([1, 2], np.int64)}
    graph = proto(nodes, {"x": SHAPE}, {"y": (1, 1, 1, 6)}, weights)
    with pytest.raises(ConversionError, match=operator) as caught:
        to_ncnn(onnx_model(graph))
    assert caught.value.exit_code == 4
    assert "rewrite th" in caught.value.hint


def test_an_input_that_nothing_reads_stays():
    graph = proto(
        [("Conv", ["x", "w"], ["y"], {})],
        {"x": SHAPE, "unused": (1, 4)},
        {"y": (1, 4, 8, 6)},
        noise({"w": (4, 3, 1, 1)}),
    )
    feeds = noise({"x": SHAPE, "unused": (1, 4)})
    actual = run_ncnn(to_ncnn(onnx_model(graph)), feeds)["y"]
    np.testing.assert_allclose(actual, run_ort(graph, feeds)["y"], rtol=1e-5, atol=1e-5)
