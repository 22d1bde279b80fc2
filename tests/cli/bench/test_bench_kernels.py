"""`dwca-bench kernels`, from the command line to the verdict."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from commands import run_here

from dwca_export import kernels
from dwca_export.bench.block_pieces import Block, block_piece
from dwca_export.bench.copies import alone
from dwca_export.cli.bench import app
from dwca_export.cli.bench_layer_shapes import parse_layer
from dwca_export.errors import InputRefusedError, UsageError
from dwca_export.ncnn.param import Param
from dwca_export.ncnn.weights import write_weights

FAST = ("--rounds", 2, "--min-time", 0, "--no-frameworks", "--no-blocks")
SMALL = ("--shape", "8x9x10", "--kernel", 3)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DWCA_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def bench(monkeypatch, capsys):
    def call(*arguments):
        return run_here(app, "dwca-bench", ["kernels", *arguments], monkeypatch, capsys)

    return call


@pytest.fixture
def network(tmp_path):
    """A block whose input says its shape."""
    piece = alone(block_piece(Block(16, 10, 10)))
    layers = [layer.with_params({0: 10, 1: 10, 2: 16}) if layer.type == "Input" else layer for layer in piece.layers]
    return write(tmp_path, replace(piece, layers=tuple(layers)))


def write(folder, piece):
    path = folder / "block.ncnn.param"
    path.write_text(Param(piece.layers).text())
    path.with_suffix(".bin").write_bytes(write_weights(piece.weights))
    return path


def refused(ran, *said, code=2):
    assert ran.code == code, ran.err
    assert ran.out == ""
    for text in said:
        assert text in ran.err
    return True


def test_a_shape_gets_a_table_and_a_verdict(bench):
    ran = bench(*SMALL, *FAST)
    assert ran.code == 0, ran.err
    assert "8x9x10 k3 s1" in ran.out
    lines = [line.split("  ")[0] for line in ran.out.splitlines()]
    assert {"ncnn", "ncnn, Winograd off"} <= set(lines)
    assert "verdict: 8x9x10 k3 s1: ncnn does not use Winograd" in ran.out
    assert "WRONG" not in ran.out


def test_the_document_has_rows_by_algorithm(bench):
    ran = bench(*SMALL, *FAST, "--json", "--bias", "--activation", "relu", "--stride", 2, "--padding", "0,1,1,0")
    document = json.loads(ran.out)
    assert document["schema"] == "dwca-bench/1"
    assert document["kind"] == "kernels"
    assert document["complete"] is True
    assert document["settings"]["storage"] == "fp32"
    names = [row["name"] for row in document["rows"]]
    assert names[:2] == ["ncnn", "ncnn, Winograd off"]
    assert names[-1] == "auto"
    assert {row["layer"] for row in document["rows"]} == {"8x9x10 k3 s2 p0,1,1,0 bias relu"}
    assert document["rows"][0]["max_error"] < 1e-4
    assert document["verdict"]


def test_blocks_are_measured_unless_refused(bench):
    ran = bench("--shape", "16x8x8", "--rounds", 2, "--min-time", 0, "--no-frameworks", "--json")
    names = [row["name"] for row in json.loads(ran.out)["rows"]]
    assert names[-3:] == ["block 3x3", "block 5x5", "block 5x5 + attention"]


def test_the_layers_of_a_network(bench, network):
    ran = bench(network, *FAST, "--json")
    document = json.loads(ran.out)
    assert ran.code == 0, ran.err
    assert document["target"]["name"] == "block"
    assert {row["layer"] for row in document["rows"]} == {"16x10x10 k5 s1"}
    assert all(row["sources"] for row in document["rows"])


def test_a_network_at_another_size(bench, tmp_path):
    path = write(tmp_path, alone(block_piece(Block(16, 12, 12))))
    assert refused(bench(path, *FAST), "give it with --shape")
    ran = bench(path, *FAST, "--shape", "1x16x12x12", "--json")
    assert {row["layer"] for row in json.loads(ran.out)["rows"]} == {"16x12x12 k5 s1"}


def test_a_network_without_depthwise_layers(bench, tmp_path):
    path = tmp_path / "plain.param"
    path.write_text("7767517\n2 2\nInput in0 0 1 in0 0=4 1=4 2=4\nReLU relu 1 1 in0 out0\n")
    path.with_suffix(".bin").write_bytes(b"")
    assert refused(bench(path, *FAST), "no depthwise layer", code=3)


def test_files(bench, tmp_path):
    paths = [tmp_path / name for name in ("a.json", "a.csv", "a.pyperf.json")]
    ran = bench(*SMALL, *FAST, "--quiet", "--save", paths[0], "--csv", paths[1], "--pyperf", paths[2])
    assert ran.code == 0, ran.err
    assert ran.out == ""
    rows = json.loads(paths[0].read_text())["rows"]
    assert len(paths[1].read_text().splitlines()) == 1 + len(rows)
    benchmarks = json.loads(paths[2].read_text())["benchmarks"]
    assert benchmarks[0]["metadata"]["name"] == "8x9x10 k3 s1 ncnn"


@pytest.mark.skipif(bool(kernels.missing()), reason=str(kernels.missing()))
def test_algorithms_by_their_first_word(bench):
    ran = bench("--shape", "8x9x10", *FAST, "--json", "--algorithm", "winograd_1d", "--algorithm", "direct")
    names = [row["name"] for row in json.loads(ran.out)["rows"]][2:]
    assert names == [name for name in names if name == "direct" or name.startswith("winograd_1d ")]
    assert "direct" in names
    assert "winograd_1d F(4,5)" in names


def test_what_this_machine_lacks_is_in_the_table(bench):
    foreign = "avx512" if "neon" in kernels.isas() else "neon"
    ran = bench(*SMALL, *FAST, "--isa", foreign)
    assert ran.code == 0, ran.err
    assert "not available here: direct" in ran.out
    assert "no share of the peak is known" in ran.out


def test_a_precision_that_this_machine_lacks_is_in_the_table(bench):
    if "neon_fp16" in kernels.isas():
        pytest.skip("this machine has it")
    ran = bench(*SMALL, *FAST, "--storage", "fp16", "--arithmetic", "fp16", "--json")
    rows = {row["name"]: row for row in json.loads(ran.out)["rows"]}
    assert rows["ncnn"]["p50_us"] > 0
    assert rows["direct"]["unavailable"]
    assert rows["direct"]["p50_us"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--shape", "0x5x5"), "size of 0"),
        (("--shape", "-1x5x5"), "no input of a layer"),
        (("--shape", "64x56"), "64x56x56"),
        (("--shape", "1x64x56x56"), "no input of a layer"),
        (("--shape", "64x56x5600000000000000000000"), "too large"),
        (("--shape", "8x8x8", "--kernel", 0), "--kernel"),
        (("--shape", "8x8x8", "--kernel", 4), "is even"),
        (("--shape", "8x8x8", "--stride", -1), "--stride"),
        (("--shape", "8x8x8", "--dilation", 0), "--dilation"),
        (("--shape", "8x8x8", "--padding", "1,2"), "is no padding"),
        (("--shape", "8x8x8", "--padding", "-1"), "is no padding"),
        (("--kernel", 3), "name a --shape"),
        (("--bias",), "name a --shape"),
        (("--shape", "8x8x8", "--threads", 1000), "1000 threads"),
        (("--shape", "8x8x8", "--threads", 0), "--threads"),
        (("--shape", "8x8x8", "--storage", "fp8"), "there are fp32, fp16, bf16"),
        (("--shape", "8x8x8", "--arithmetic", "int8"), "there are fp32, fp16"),
        (("--shape", "8x8x8", "--isa", "mmx"), "there are scalar"),
        (("--shape", "8x8x8", "--elempack", 3), "there are 1, 4, 8, 16"),
        (("--shape", "8x8x8", "--algorithm", "magic"), "there are direct"),
        (("--shape", "8x8x8", "--activation", "gelu"), "there are none, relu, relu6, hardswish"),
        (("--shape", "8x8x8", "--save", "/no/such/folder/file.json"), "no such folder"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(bench, arguments, said):
    assert refused(bench(*arguments), said)


@pytest.mark.parametrize(
    ("shape", "limit"), [("64x600x600", "the limit is 16777216"), ("100000x100000x1000", "the most is")]
)
def test_huge_layers_are_refused_with_the_limit(bench, shape, limit):
    assert refused(bench("--shape", shape), limit, code=3)


def test_a_kernel_larger_than_the_input_is_refused(bench):
    assert refused(bench("--shape", "8x2x2", "--kernel", 9, "--padding", 0), code=3)


def test_a_network_and_a_layer_are_one_too_many(bench, network):
    assert refused(bench(network, "--kernel", 3), "a network brings its layers")


def test_a_file_that_is_not_there(bench):
    assert refused(bench("/no/such.param"), "no such file", code=3)


def test_equal_shapes_are_measured_once(bench):
    ran = bench(*SMALL, "--shape", "8x9x10", *FAST, "--json")
    assert [row["name"] for row in json.loads(ran.out)["rows"]].count("ncnn") == 1


@pytest.mark.parametrize(
    ("text", "form", "layer"),
    [
        ("64x56x48", {}, kernels.Layer(64, 56, 48, 5)),
        ("8X9X10", {"kernel": 3, "stride": 2}, kernels.Layer(8, 9, 10, 3, 2)),
        ("8x9x10", {"padding": "1"}, kernels.Layer(8, 9, 10, 5, padding=(1, 1, 1, 1))),
        ("8x9x10", {"padding": "1,2,3,0"}, kernels.Layer(8, 9, 10, 5, padding=(1, 2, 3, 0))),
        ("8x9x10", {"dilation": 2, "bias": True}, kernels.Layer(8, 9, 10, 5, dilation=2, bias=True)),
        ("8x9x10", {"kernel": 4, "padding": "1"}, kernels.Layer(8, 9, 10, 4, padding=(1, 1, 1, 1))),
    ],
)
def test_layers_are_read(text, form, layer):
    assert parse_layer(text, form) == layer


def test_layers_that_are_none():
    with pytest.raises(UsageError):
        parse_layer("8x9", {})
    with pytest.raises(InputRefusedError):
        parse_layer("1x1x1", {"kernel": 5, "padding": "0"})
