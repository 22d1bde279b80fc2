"""What the command prints, and on which stream: --json, --quiet, --debug; streams that take nothing."""

from __future__ import annotations

import json
import subprocess

import pytest
from commands import PROGRAM, child_environment, run_child

from dwca_export import pipeline


def test_json_is_one_document(invoke, relu_onnx, tmp_path):
    ran = invoke(relu_onnx, "--out", tmp_path, "--json")
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    bundle = tmp_path / "relu_ncnn_model"
    assert document["bundle"] == str(bundle)
    assert "parity" in document["seconds"]
    assert document["files"] == json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["files"]


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (["nothing.onnx"], "InputRefusedError", 3),
        (["MODEL", "--shape", "0x3"], "UsageError", 2),
        (["MODEL", "--bogus"], "UsageError", 2),
        ([], "UsageError", 2),
        (["MODEL", "--samples", "none"], "UsageError", 2),
    ],
)
def test_json_on_failure_is_one_document_too(invoke, relu_onnx, tmp_path, arguments, kind, code):
    arguments = [relu_onnx if argument == "MODEL" else argument for argument in arguments]
    ran = invoke(*arguments, "--out", tmp_path, "--json")
    assert ran.code == code
    error = json.loads(ran.out)["error"]
    assert (error["kind"], error["exit_code"]) == (kind, code)
    assert error["what"]
    assert set(error) == {"kind", "exit_code", "what", "where", "hint"}
    assert ran.err.startswith("error: ")


def test_quiet_prints_nothing(relu_onnx, tmp_path):
    """In a child process, where libraries could print past Python's streams."""
    ran = run_child(relu_onnx, "--out", tmp_path, "-q")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_quiet_prints_errors(invoke, tmp_path):
    ran = invoke(tmp_path / "nothing.onnx", "-q")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("error: ")


def test_an_error_is_one_line_and_a_hint(invoke, tmp_path):
    ran = invoke(tmp_path / "nothing.onnx", "--shape", "1y2")
    first, second = ran.err.splitlines()
    assert first == "error: --shape: '1y2' is not an input shape"
    assert second.startswith("  -> ")


def test_debug_shows_the_traceback(invoke, tmp_path):
    quiet, loud = (invoke(tmp_path / "nothing.onnx", *more) for more in ([], ["--debug"]))
    assert "Traceback" not in quiet.err
    assert "Traceback" in loud.err
    assert loud.err.endswith(quiet.err)


def test_what_nobody_thought_of_is_an_internal_error(invoke, relu_onnx, tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(pipeline, "load", broken)
    ran = invoke(relu_onnx, "--out", tmp_path)
    assert ran.code == 1
    assert ran.err == ("error: internal error: ZeroDivisionError: by zero\n  -> run again with --debug and report it\n")
    assert list(tmp_path.iterdir()) == []


def test_names_from_files_cannot_command_the_terminal(invoke, tmp_path):
    path = tmp_path / "\x1b[2Jmodel.onnx"
    path.write_text("text")
    ran = invoke(path)
    assert ran.code == 3
    assert "\x1b" not in ran.err
    assert r"\x1b[2J" in ran.err


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_full_standard_output_is_an_error(relu_onnx, tmp_path, arguments):
    with open("/dev/full", "wb") as full:  # noqa: PTH123  a device
        done = subprocess.run(
            [PROGRAM, relu_onnx, "--out", tmp_path, "-q", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            env=child_environment(),
            text=True,
            timeout=120,
            check=False,
        )
    if arguments:
        assert done.returncode == 2
        assert "standard output: the result cannot be printed" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "relu_ncnn_model" / "manifest.json").is_file()


def test_closed_streams_are_no_error(relu_onnx, tmp_path):
    command = '"$0" "$1" --out "$2" >&- 2>&-'
    done = subprocess.run(
        ["/bin/sh", "-c", command, PROGRAM, relu_onnx, tmp_path], env=child_environment(), check=False
    )
    assert done.returncode == 0
    assert (tmp_path / "relu_ncnn_model" / "manifest.json").is_file()


def test_help_lists_every_option_and_exit_code(invoke):
    ran = invoke("--help")
    assert ran.code == 0
    options = "shape out arch arch-args trust trust-all dynamic precision images samples seed timeout force json quiet"
    assert all(f"--{option} " in ran.out for option in (*options.split(), "debug", "version"))
    assert "Exit codes: 0 ok, 1 internal error, 2 usage, 3 input refused" in " ".join(ran.out.split())


def test_version(invoke):
    ran = invoke("--version")
    assert (ran.code, ran.out) == (0, "dwca-export 0.1.0\n")
