"""torch -> ONNX, through torch's own exporter."""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import re
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch

from dwca_export.artifacts import OnnxModel
from dwca_export.errors import ConversionError
from dwca_export.loading.text import one_line
from dwca_export.onnx_names import rename_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dwca_export.artifacts import TorchModel

_SCOPES = "pkg.torch.onnx.name_scopes"
_WRAPPER = "model"  # the attribute under which `prepare` keeps the user's network


def to_onnx(model: TorchModel) -> OnnxModel:
    """Export with static shapes.

    TorchScript goes through the exporter that traces: `torch.export` does not take it.

    Raises:
        ConversionError: torch cannot export the network.
    """
    arguments = tuple(torch.zeros(spec.shape) for spec in model.inputs)
    try:
        with _quiet():
            proto = _export(model, arguments)
    except Exception as error:  # the exporter raises what it meets
        raise ConversionError(
            f"torch.onnx.export fails: {_first_cause(error)}",
            where="to_onnx",
            hint="make forward free of data-dependent Python; see torch.export's documentation",
        ) from error
    wrapper = "" if isinstance(model.program, torch.export.ExportedProgram) else _WRAPPER
    return OnnxModel(proto, model.inputs, model.outputs, _scopes(proto, wrapper))


def _export(model: TorchModel, arguments: tuple[torch.Tensor, ...]) -> Any:
    # The exporter would not mind an output that is called as one of its inner values.
    wanted = {
        **{f"dwca.input.{index}": spec.name for index, spec in enumerate(model.inputs)},
        **{f"dwca.output.{index}": spec.name for index, spec in enumerate(model.outputs)},
    }
    count = len(model.inputs)
    proto = _run_exporter(model, arguments, list(wanted)[:count], list(wanted)[count:])
    rename_values(proto.graph, wanted)
    return proto


def _run_exporter(
    model: TorchModel, arguments: tuple[torch.Tensor, ...], input_names: list[str], output_names: list[str]
) -> Any:
    names: dict[str, Any] = {"input_names": input_names, "output_names": output_names}
    if isinstance(model.program, torch.jit.ScriptModule):
        import onnx

        buffer = io.BytesIO()
        destination: Any = buffer  # the tracing exporter writes to file objects too, its signature does not say so
        torch.onnx.export(model.program, arguments, destination, dynamo=False, **names)
        return onnx.load_from_string(buffer.getvalue())
    program = torch.onnx.export(model.program, arguments, dynamo=True, verbose=False, **names)
    assert program is not None  # noqa: S101  None only when a file is given
    return program.model_proto


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter reports progress and deprecations and prints graphs that it fails on; the user asked for ours."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    heap = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(heap), contextlib.redirect_stderr(heap):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(error)


def _scopes(proto: Any, wrapper: str) -> dict[str, str]:
    """Name every value after the module, or the operation in a module, that computes it.

    The exporter notes at each node the path of modules that it comes from and its own name. The last node of a module
    computes what the module returns and bears the module's name; what is computed on the way there bears the module's
    and its own. A module called again is told apart by `#2`, `#3`, ...; two calls in a row pass for one.
    """
    runs: list[tuple[str, str, str]] = []  # value, path of the module, operation
    for node in proto.graph.node:
        scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), None)
        if scopes:
            *modules, operation = ast.literal_eval(scopes)
            runs.append((node.output[0], _below(modules[-1] if modules else "", wrapper), operation))
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for index, (value, path, operation) in enumerate(runs):
        last = index + 1 == len(runs) or not _inside(runs[index + 1][1], path)
        name = path if last and path else f"{path}.{re.sub(r'_[0-9]+$', '', operation)}".lstrip(".")
        counts[name] += 1
        names[value] = name if counts[name] == 1 else f"{name}#{counts[name]}"
    return names


def _below(path: str, wrapper: str) -> str:
    """A path of modules without the wrapper's name."""
    return "" if path == wrapper else path.removeprefix(f"{wrapper}.") if wrapper else path


def _inside(path: str, parent: str) -> bool:
    return path == parent or path.startswith(f"{parent}.") or not parent
