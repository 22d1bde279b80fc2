"""`dwca-parity` on a whole bundle: what it prints, and what options do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from bundles import edit_param, edit_weights, read_json
from commands import as_from_a_terminal, child_environment

from dwca_export.audit import check
from dwca_export.errors import UsageError
from dwca_export.report.parity_rows import in_part
from dwca_export.runners.ncnn import MODES


def test_a_whole_bundle_passes(judge, exported):
    ran = judge(exported)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith("verdict: passed\n")
    assert "First fault" not in ran.out


def test_every_precision_and_mode_has_a_line(judge, exported):
    document = json.loads(judge(exported, "--json").out)
    assert [(one["precision"], one["mode"]) for one in document["modes"]] == [
        (precision, mode) for precision in ("fp32", "fp16") for mode in MODES
    ]
    lines = judge(exported).out.splitlines()
    for one in document["modes"]:
        verdict = "in part" if in_part(one) else one["status"]
        assert sum(line.split()[:2] == [one["precision"], one["mode"]] and verdict in line for line in lines) >= 1


def test_what_was_not_run_has_no_figures_and_a_reason(judge, exported):
    document = json.loads(judge(exported, "--json").out)
    ran = {one["status"]: one for one in document["modes"]}
    assert ran["passed"]["outputs"]
    for one in document["modes"]:
        assert bool(one["reason"]) == (one["status"] == "not run") == (not one["outputs"])


def test_a_mode_that_this_machine_lacks_is_not_shown_as_passed_when_asked_for_alone(judge, exported):
    everything = json.loads(judge(exported, "--json").out)["modes"]
    for one in everything:
        same = [two for two in everything if two["mode"] == one["mode"]]
        if all(two["status"] == "not run" for two in same):
            ran = judge(exported, "--mode", one["mode"])
            assert ran.code == 2
            assert "nothing was run" in ran.err
        elif one["status"] == "not run":
            document = json.loads(judge(exported, "--mode", one["mode"], "--json").out)
            assert [two["status"] for two in document["modes"]] == [two["status"] for two in same]


def test_modes_can_be_chosen(judge, exported):
    document = json.loads(judge(exported, "--mode", "fp32", "--mode", "bf16-storage", "--json").out)
    assert {one["mode"] for one in document["modes"]} == {"fp32", "bf16-storage"}


def test_all_layers_shows_every_layer(judge, exported):
    document = json.loads(judge(exported, "--mode", "fp32", "--json").out)
    few, many = (judge(exported, "--mode", "fp32", *more).out for more in ([], ["--all-layers"]))
    names = {layer["layer"] for layer in document["layers"]}
    assert all(name in many for name in names)
    assert len(many.splitlines()) - len(few.splitlines()) == len(document["layers"]) - 10


def test_quiet_prints_nothing(judge, exported):
    ran = judge(exported, "-q")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_the_json_document_of_a_pass(judge, exported):
    ran = judge(exported, "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["verdict"], document["first_fault"], document["threads"]) == (0, "passed", None, 1)
    assert document["bundle"] == str(exported)
    manifest = read_json(exported / "manifest.json")
    assert document["hops"]["outputs"] == manifest["parity"]
    assert document["hops"]["values"] == read_json(exported / "layers.json")["values"]
    assert {layer["layer"] for layer in document["layers"]} >= {value["layer"] for value in document["hops"]["values"]}


def test_options_reach_the_check(judge, tmp_path, monkeypatch):
    asked = []

    def refuse(request):
        asked.append((request.threads, request.images, request.modes))
        raise UsageError(f"asked for {asked}")

    monkeypatch.setattr(check, "check_bundle", refuse)
    ran = judge(tmp_path, "--threads", 3, "--images", "images", "--mode", "fp32")
    assert "asked for [(3, PosixPath('images'), ('fp32',))]" in ran.err


def test_kernel_paths(judge, exported):
    document = json.loads(judge(exported, "--mode", "fp32", "--paths", "--json").out)
    assert {path["layer"] for path in document["paths"]["paths"]} >= {layer["layer"] for layer in document["layers"]}
    assert json.loads(judge(exported, "--mode", "fp32", "--json").out)["paths"] is None
    ran = judge(exported, "--mode", "fp32", "--paths")
    assert ran.code == 0
    assert "Kernels that ncnn takes" in ran.out
    assert ran.out.endswith("verdict: passed\n")


@pytest.fixture
def broken(bundle):
    """The bundle with the first convolution's weights doubled."""

    def change(weights):
        weights *= 2

    edit_weights(bundle, "stem", change)
    return bundle


def test_a_fault_is_named_in_the_text(judge, broken):
    ran = judge(broken, "--mode", "fp32")
    assert ran.code == 5
    assert ran.out.endswith("verdict: failed\n")
    fault = ran.out[ran.out.index("First fault") :]
    assert "torch module  stem" in fault
    assert "ncnn layer    stem (Convolution)" in fault
    assert ran.err.startswith(
        "error: parity failed: fp32 weights, fp32: ncnn layer stem (stem) is the first at fault: "
    )
    assert len(ran.err.splitlines()) == 1


def test_a_fault_is_named_in_the_document(judge, broken):
    ran = judge(broken, "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["verdict"]) == (5, "failed")
    fault = document["first_fault"]
    assert (fault["module"], fault["layer"], fault["precision"], fault["mode"]) == ("stem", "stem", "fp32", "fp32")
    assert fault["kind"]
    assert fault["added"]["relative_l2"] > 0.1
    # The fp16 weights have a file of their own, which is whole.
    assert {one["status"] for one in document["modes"] if one["precision"] == "fp16"} <= {"passed", "not run"}


def test_quiet_prints_the_fault(judge, broken):
    ran = judge(broken, "-q")
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.startswith("error: parity failed: ")


def test_a_nan_is_a_fault(judge, bundle):
    edit_weights(bundle, "stem", lambda weights: weights.reshape(-1).__setitem__(0, np.nan))
    ran = judge(bundle, "--json")
    document = json.loads(ran.out)  # which knows no NaN
    assert ran.code == 5
    assert document["first_fault"]["layer"] == "stem"
    assert document["first_fault"]["kind"] == "non-finite"
    assert "NaN" in document["first_fault"]["added"]["fault"]
    assert judge(bundle).out.endswith("verdict: failed\n")


def test_a_changed_param_is_a_fault(judge, bundle):
    edit_param(bundle, " 9=6 ", " 9=0 ")  # no activation
    assert judge(bundle, "-q").code == 5


def cases(path):
    root = ET.parse(path).getroot()  # noqa: S314  ours
    return {(case.get("classname"), case.get("name")): [child.tag for child in case] for case in root.iter("testcase")}


def test_junit_of_a_pass(judge, exported, tmp_path):
    judge(exported, "--junit", tmp_path / "report.xml")
    found = cases(tmp_path / "report.xml")
    assert set(found) == {(f"outputs.{precision}", mode) for precision in ("fp32", "fp16") for mode in MODES}
    document = json.loads(judge(exported, "--json").out)
    for one in document["modes"]:
        expected = {"passed": [], "not run": ["skipped"]}[one["status"]]
        assert found[f"outputs.{one['precision']}", one["mode"]] == expected


def test_junit_of_a_failure_has_a_case_for_each_layer_at_fault(judge, broken, tmp_path):
    ran = judge(broken, "--mode", "fp32", "--junit", tmp_path / "report.xml", "--json")
    assert ran.code == 5
    found = cases(tmp_path / "report.xml")
    assert found["outputs.fp32", "fp32"] == ["failure"]
    assert found["layers.fp32.fp32", "stem (stem)"] == ["failure"]
    faults = [layer for layer in json.loads(ran.out)["layers"] if layer["kind"]]
    assert sum(tags == ["failure"] for tags in found.values()) == 1 + len(faults)


def test_junit_of_an_error(judge, tmp_path):
    ran = judge(tmp_path / "nothing", "--junit", tmp_path / "report.xml")
    assert ran.code == 3
    assert cases(tmp_path / "report.xml") == {("bundle", "nothing"): ["error"]}


def test_a_junit_file_that_cannot_be_written(judge, exported, tmp_path):
    ran = judge(exported, "--mode", "fp32", "--junit", tmp_path / "nowhere" / "report.xml")
    assert ran.code == 2
    assert "report.xml: cannot be written: No such file or directory" in ran.err


def test_annotations_in_github_actions(judge, broken, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    lines = [line for line in judge(broken, "--mode", "fp32").out.splitlines() if line.startswith("::")]
    assert lines[0].startswith(
        "::error title=dwca-parity%3A first fault::fp32 weights, fp32: ncnn layer stem (stem) is"
    )
    ran = judge(broken, "--mode", "fp32", "--json")
    json.loads(ran.out)
    assert all(line in ran.err for line in lines)
    ran = judge(broken / "nothing")
    assert "::error title=dwca-parity%3A" in ran.out


def test_no_annotations_elsewhere(judge, broken):
    ran = judge(broken)
    assert "::" not in ran.out + ran.err


def test_an_unknown_mode(judge, exported):
    ran = judge(exported, "--mode", "int8")
    assert ran.code == 2
    assert ran.err == (
        "error: --mode: 'int8' is unknown\n  -> there are fp32, fp16-storage, fp16-arithmetic, bf16-storage\n"
    )


@pytest.mark.parametrize(
    "arguments", [[], ["BUNDLE", "--bogus"], ["BUNDLE", "--threads", "0"], ["BUNDLE", "--threads", "many"]]
)
def test_command_lines_that_cannot_be_obeyed(judge, exported, arguments):
    ran = judge(*[exported if word == "BUNDLE" else word for word in arguments])
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: command line: ")


def test_a_tolerance_of_the_command_line(judge, exported):
    arguments = ("--mode", "fp32", "--tolerance", "fp32.layer_l2=1e-12", "--tolerance", "fp32.layer_channel_l2=1e-12")
    ran = judge(exported, *arguments, "--json")
    document = json.loads(ran.out)
    assert ran.code == 5
    assert document["tolerances"]["fp32"]["layer_l2"] == 1e-12
    assert "fp32.layer_l2 is 1e-12 instead of" in document["notes"][0]


def test_a_tolerance_of_the_outputs(judge, exported):
    ran = judge(exported, "--mode", "fp32", "--tolerance", "fp32.relative_l2=1e-12", "--json")
    document = json.loads(ran.out)
    assert ran.code == 5
    assert "above 1e-12" in document["modes"][0]["faults"][0]


def test_a_tolerance_of_a_project(judge, exported, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.dwca-export.tolerances.fp32]\nlayer_l2 = 1e-12\n")
    assert judge(exported, "--mode", "fp32", "-q").code == 5
    assert judge(exported, "--mode", "fp32", "-q", "--tolerance", "fp32.layer_l2=2e-5").code == 0


def test_as_a_module_and_with_the_base_install_alone(exported, tmp_path):
    code = """
import runpy, sys

class Ban:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx", "onnxruntime", "onnxscript", "onnxsim", "pnnx", "PIL"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Ban())
sys.argv[0] = "dwca-parity"
runpy.run_module("dwca_export.cli.parity", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, exported, "--mode", "fp32"],
        cwd=tmp_path,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("verdict: passed\n")


def test_a_full_standard_output_is_an_error(exported, tmp_path):
    with open("/dev/full", "wb") as full:  # noqa: PTH123  a device
        done = subprocess.run(
            [sys.executable, "-m", "dwca_export.cli.parity", exported, "--mode", "fp32"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert "the result cannot be printed" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_child_too(exported, tmp_path, number):
    """The data are a pipe that nobody writes to: the child waits for it for ever."""
    os.mkfifo(tmp_path / "data.npy")
    process = subprocess.Popen(
        [sys.executable, "-m", "dwca_export.cli.parity", exported, "--images", tmp_path / "data.npy"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=as_from_a_terminal,  # noqa: PLW1509  which does nothing that a thread could hold
    )
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + 60
        while not (child := children.read_text().split()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, printed = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, printed) == (130, "error: interrupted\n")
    assert child
    assert not Path(f"/proc/{child[0]}").exists()


def test_help_lists_options_and_exit_codes(judge):
    ran = judge("--help")
    assert ran.code == 0
    names = "mode threads images tolerance paths allow-older-ncnn all-layers junit json quiet debug version"
    assert all(f"--{name} " in ran.out for name in names.split())
    assert "5 parity failed" in " ".join(ran.out.split())


def test_version(judge):
    assert judge("--version").out == "dwca-parity 0.1.0\n"
