"""ONNX -> ncnn, through the pnnx program in a child process."""

from __future__ import annotations

import re
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from dwca_export.artifacts import NcnnModel
from dwca_export.errors import ConversionError
from dwca_export.exit_status import describe_exit
from dwca_export.ncnn.param import Param
from dwca_export.ncnn.weights import read_weights
from dwca_export.rewrites.graph import attribute, reduced_axes, static_shapes
from dwca_export.taps import choose_taps, with_taps

if TYPE_CHECKING:
    from dwca_export.artifacts import OnnxModel
    from dwca_export.ncnn.param import Layer

# Lines by which pnnx says that it left something out; it exits 0 all the same.
_COMPLAINTS = re.compile(
    r"^ignore |\b(not supported|unsupported|not possible|unhandled|unknown$|invalid|can ?not|fallback)\b", re.IGNORECASE
)
# pnnx leaves the batch axis out of a reduction, which is right where it has one element and stays.
_BATCH_REDUCTION = re.compile(r"(mean|sum|norm|prod|logsumexp) along batch axis is not supported yet")


def to_ncnn(model: OnnxModel, *, timeout: float = 300.0, pnnx: Path | None = None) -> NcnnModel:
    """Convert, with every value of `choose_taps` as a further output.

    Args:
        model: The simplified and rewritten graph.
        timeout: Seconds that pnnx may take.
        pnnx: The program; by default the installed one.

    Raises:
        ConversionError: pnnx fails, hangs, says that it left something out, or writes what ncnn cannot run.
    """
    taps = choose_taps(model)
    program = (pnnx or find_pnnx()).absolute()
    with tempfile.TemporaryDirectory(prefix="dwca-pnnx-") as name:
        folder = Path(name)
        onnx.save(with_taps(model, taps), folder / "model.onnx")
        printed = _run(program, folder, timeout)
        _refuse_complaints(printed, keeps_batch=_keeps_batch(model.proto.graph))
        param, data = _read(folder, printed)
    graph = Param.parse(param)
    weights = read_weights(graph, data)
    for layer in graph.layers:
        _check_layer(layer)
    _check_blobs(graph, model, len(taps))
    return NcnnModel(graph, weights, model.inputs, model.outputs, tuple(taps.values()))


def find_pnnx() -> Path:
    """The pnnx program inside the installed package.

    The program is run itself: the package's Python wrapper imports torch a second time.

    Raises:
        ConversionError: The package is not installed.
    """
    spec = find_spec("pnnx")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    program = (
        next((path for path in (folder / "pnnx", folder / "pnnx.exe") if path.is_file()), None) if folder else None
    )
    if program is None:
        raise ConversionError("pnnx is not installed", where="to_ncnn", hint="pip install 'dwca-export[export]'")
    return program


def _run(program: Path, folder: Path, timeout: float) -> str:
    try:
        done = subprocess.run(
            [str(program), "model.onnx", "fp16=0"], cwd=folder, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ConversionError(f"pnnx takes more than {timeout:g} s", where="to_ncnn", hint="raise --timeout") from error
    except OSError as error:
        raise ConversionError(
            f"pnnx cannot be run: {error}", where="to_ncnn", hint="reinstall the pnnx package"
        ) from error
    printed = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode:
        end = describe_exit(done.returncode)
        raise ConversionError(f"pnnx ends with {end}", where="to_ncnn", hint=_last_lines(printed))
    return printed


def _keeps_batch(graph: Any) -> bool:
    """Whether all reductions over the batch axis keep it."""
    shapes = static_shapes(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type.startswith("Reduce") and not attribute(node, "keepdims", 1):
            axes = reduced_axes(node, constants, max(1, len(shapes.get(node.input[0], []))))
            if not axes or 0 in axes:
                return False
    return True


def _refuse_complaints(printed: str, *, keeps_batch: bool) -> None:
    complaints = [line.strip() for line in printed.splitlines() if _COMPLAINTS.search(line.strip())]
    if keeps_batch:
        complaints = [line for line in complaints if not _BATCH_REDUCTION.fullmatch(line)]
    if complaints:
        raise ConversionError(
            f"pnnx left something out: {'; '.join(complaints[:5])}",
            where="to_ncnn",
            hint="rewrite this operation in the network; pnnx cannot express it in ncnn",
        )


def _read(folder: Path, printed: str) -> tuple[str, bytes]:
    try:
        return (folder / "model.ncnn.param").read_text(encoding="utf-8"), (folder / "model.ncnn.bin").read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError("pnnx wrote no ncnn model", where="to_ncnn", hint=_last_lines(printed)) from error


def _last_lines(printed: str) -> str:
    lines = [line for line in printed.strip().splitlines() if line.strip()]
    return "pnnx printed: " + " | ".join(lines[-3:]) if lines else "pnnx printed nothing"


def _check_layer(layer: Layer) -> None:
    """Refuse forms that ncnn loads and then computes wrongly."""
    if layer.type == "Reduction" and layer.int(1, 1) == 0 and not layer.ints(3, ()):
        raise ConversionError(
            "reduces over an empty list of axes: ncnn would return its input unchanged",
            where=f"to_ncnn, layer {layer.name} (Reduction)",
            hint="reduce over several axes, or use average pooling",
        )


def _check_blobs(graph: Param, model: OnnxModel, taps: int) -> None:
    """Refuse a graph whose inputs and outputs are not those of the model."""
    inputs = [f"in{index}" for index in range(len(model.inputs))]
    outputs = [f"out{index}" for index in range(len(model.outputs) + taps)]
    missing = [blob for blob in (*inputs, *outputs) if blob not in graph.blobs]
    extra = sorted(set(graph.inputs) - set(inputs))
    if missing or extra:
        raise ConversionError(
            f"pnnx lost {missing or 'nothing'} and added {extra or 'nothing'}",
            where="to_ncnn",
            hint="every input must be used, and every output depend on an input",
        )
