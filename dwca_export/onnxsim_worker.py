"""The child process of `simplify.py`: reads one request from its standard input and runs onnxsim on it."""

from __future__ import annotations

import json
import os
import sys

import onnx

# onnxsim imports torch where it is installed, for functions that are not used here: a second, and 200 MB.
sys.modules["torch"] = None  # type: ignore[assignment]

import onnxsim  # noqa: E402


def _main() -> None:
    request = json.loads(sys.stdin.read())
    # onnxsim's own check draws random inputs; our parity does that better, on the user's data.
    simplified, _ = onnxsim.simplify(onnx.load(request["source"]), check_n=0, overwrite_input_shapes=request["shapes"])
    onnx.save(simplified, request["target"])
    os._exit(0)  # taking the interpreter apart would only take time


if __name__ == "__main__":
    _main()
