from __future__ import annotations

import pytest
import tiny_target


def first_line(done):
    return done.err.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mode", "fp64"], "error: --mode: 'fp64' is unknown"),
        (["--threads", "0"], "error: command line: Invalid value for '--threads'"),
        (["--threads", "1000"], "error: threads: 1000 threads on "),
        (["--variants", "threads=1000"], "error: threads: 1000 threads on "),
        (["--variants", "fp64"], "error: --variants: 'fp64' is no variant"),
        (["--variants", ""], "error: --variants: '' is no variant"),
        (["--layers", "--variants", "no-packing"], "error: --variants: layers are timed in one variant"),
        (["--all-layers"], "error: --all-layers: is for --layers alone"),
        (["--shape", "3x"], "error: --shape: '3x' is not an input shape"),
        (["--shape", "0x3x20x12"], "error: --shape: '0x3x20x12' has a dimension below 1"),
        (["--shape", "1x3x9x9"], "error: --shape: the bundle was made for no other shape than 1x3x20x12"),
        (["--rounds", "0"], "error: command line: Invalid value for '--rounds'"),
        (["--rounds", "many"], "error: command line: Invalid value for '--rounds'"),
        (["--min-time", "-1"], "error: command line: Invalid value for '--min-time'"),
        (["--cooldown", "-1"], "error: command line: Invalid value for '--cooldown'"),
        (["--save", "missing/result.json"], "error: --save missing/result.json: cannot be written"),
        (["--csv", "missing/result.csv"], "error: --csv missing/result.csv: cannot be written"),
        (["--pyperf", "."], "error: --pyperf .: is a folder"),
        (["--planted"], "error: command line: No such option"),
        (["more"], "error: command line: Got unexpected extra argument"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(bench, bundle, arguments, said):
    done = bench(bundle, *arguments)
    assert done.code == 2
    assert done.out == ""
    assert first_line(done).startswith(said)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "error: command line: no network is named"),
        (["--layers"], 2, "error: command line: no network is named"),
        (["missing"], 3, "error: missing: there is no such file or folder"),
        (["--json", "kernels"], 2, "error: command line: there is no file or folder kernels"),
        (["-q", "compare"], 2, "error: command line: there is no file or folder compare"),
        (["."], 3, "error: .: no bundle"),
    ],
)
def test_what_is_no_network_is_refused(bench, arguments, code, said):
    done = bench(*arguments)
    assert done.code == code
    assert first_line(done).startswith(said)


def test_errors_are_json_too(bench):
    done = bench("missing", "--json")
    assert done.code == 3
    assert done.document["error"]["kind"] == "InputRefusedError"
    assert done.document["error"]["where"] == "missing"


def test_a_param_that_does_not_load_is_refused(bench, tmp_path):
    path = tiny_target.param(tmp_path)
    path.write_text(path.read_text().replace("2=160", "2=170"))
    done = bench(path, "--shape", "1x3x20x12")
    assert done.code == 4
    path.write_text("7767517\n")
    assert bench(path, "--shape", "1x3x20x12").code == 4


def test_weights_that_are_cut_off_are_refused(bench, tmp_path):
    path = tiny_target.param(tmp_path)
    path.with_suffix(".bin").write_bytes(b"")
    done = bench(path, "--shape", "1x3x20x12")
    assert done.code == 4
    assert "error: ncnn net.param: ncnn does not load the network" in done.err


@pytest.mark.parametrize("more", [[], ["--layers"]])
def test_a_shape_that_does_not_fit_the_weights_is_refused(bench, tmp_path, more):
    done = bench(tiny_target.param(tmp_path), "--shape", "1x5x20x12", *more)
    assert done.code == 3
    assert (
        first_line(done) == "error: ncnn layer conv (Convolution): its weights are for 3 channels, its input is 5x20x12"
    )


def test_a_huge_shape_is_refused_before_anything_is_allocated(bench, tmp_path):
    done = bench(tiny_target.param(tmp_path), "--shape", "1x3x20000x20000")
    assert done.code == 2
    assert first_line(done) == "error: --shape: 1x3x20000x20000 has no element, or more than 2**28"
