"""A waiting process answers once, and however it ends is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dwca_export.artifacts import OnnxModel, TensorSpec
from dwca_export.errors import ConversionError
from dwca_export.simplify import simplify
from dwca_export.waiting_child import WaitingChild

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = {
    "echo": "import sys; print(sys.stdin.read().upper())",
    "crash": "import os, signal, sys; sys.stdin.read(); os.kill(os.getpid(), signal.SIGSEGV)",
    "fail": "import sys; sys.stdin.read(); sys.exit('out of luck')",
    "hang": "import sys, time; print('half', flush=True); time.sleep(60)",
}


def child(program: str) -> WaitingChild:
    waiting = WaitingChild(program)
    (waiting.folder / f"{program}.py").write_text(PROGRAMS[program])
    return waiting


def test_answers_and_can_be_asked_again() -> None:
    with child("echo") as echo:
        echo.start()
        assert [echo.ask(text, 60).output.strip() for text in ("one", "two")] == ["ONE", "TWO"]


@pytest.mark.parametrize(("program", "end"), [("crash", "SIGSEGV"), ("fail", "exit code 1")])
def test_says_how_it_ended(program: str, end: str) -> None:
    with child(program) as waiting:
        reply = waiting.ask("", 60)
        assert (reply.end, reply.late) == (end, False)
        assert ("out of luck" in waiting.said()) == (program == "fail")


def test_is_stopped_when_it_takes_too_long() -> None:
    with child("hang") as waiting:
        reply = waiting.ask("", 1.5)
    assert reply.late
    assert reply.output in ("half\n", "")


def test_leaves_neither_process_nor_folder() -> None:
    with child("hang") as waiting:
        process = waiting.start()
    assert not waiting.folder.exists()
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_the_working_folder_of_the_user_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnxsim.py").write_text("raise SystemExit('the wrong onnxsim')")
    monkeypatch.chdir(tmp_path)
    simplify(graph())


@pytest.mark.parametrize(
    ("program", "what"),
    [("crash", "fails .SIGSEGV"), ("fail", "fails .exit code 1"), ("echo", "no graph"), ("hang", "more than 1 s")],
)
def test_simplify_names_the_fault(program: str, what: str) -> None:
    with child(program) as waiting, pytest.raises(ConversionError, match=f"onnxsim .*{what}") as caught:
        simplify(graph(), waiting, timeout=1 if program == "hang" else 60)
    assert caught.value.where == "simplify"


def graph() -> OnnxModel:
    shape = [1, 2, 3, 3]
    value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")}
    weight = onnx.numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float32), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 1])
    proto = helper.make_model(
        helper.make_graph([node], "g", [value["x"]], [value["y"]], [weight]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    return OnnxModel(proto, (TensorSpec("x", tuple(shape)),), (TensorSpec("y", tuple(shape)),))
