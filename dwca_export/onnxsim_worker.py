"""The child process of `simplify.py`: reads one request from its standard input and runs onnxsim on it."""

from __future__ import annotations

import json
import os
import sys

import onnx

# onnxsim imports torch where it is installed, for functions that are not used here: a second, and 200 MB.
sys.modules["torch"] = None  # type: ignore[assignment]

import onnxsim  # noqa: E402

# It takes the result for a scalar and folds a `Shape` behind it to nothing (seen with onnxsim 0.8.1, opset 13).
_WRONG = ["fuse_consecutive_reduce_unsqueeze"]


def _main() -> None:
    request = json.loads(sys.stdin.read())
    simplified, _ = onnxsim.simplify(
        onnx.load(request["source"]),
        check_n=0,  # onnxsim's own check draws random inputs; our parity does that better, on the user's data
        overwrite_input_shapes=request["shapes"],
        skipped_optimizers=_WRONG,
    )
    onnx.save(simplified, request["target"])
    os._exit(0)  # taking the interpreter apart would only take time


if __name__ == "__main__":
    _main()
