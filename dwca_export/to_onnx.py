"""torch -> ONNX, through torch's own exporter."""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import re
import warnings
from typing import TYPE_CHECKING, Any

import torch

from dwca_export.artifacts import OnnxModel
from dwca_export.errors import ConversionError
from dwca_export.loading.text import one_line
from dwca_export.onnx_names import rename_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dwca_export.artifacts import TorchModel

# Operation -> the calls of modules that it is in, outermost first; torch tells calls of one module apart.
Calls = dict[str, tuple[str, ...]]

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
            proto, program = _export(model, arguments)
    except Exception as error:  # the exporter raises what it meets
        raise ConversionError(
            f"torch.onnx.export fails: {_first_cause(error)}",
            where="to_onnx",
            hint="make forward free of data-dependent Python; see torch.export's documentation",
        ) from error
    wrapper = "" if isinstance(model.program, torch.export.ExportedProgram) else _WRAPPER
    return OnnxModel(proto, model.inputs, model.outputs, _scopes(proto, wrapper, _calls(program)), program)


def _export(model: TorchModel, arguments: tuple[torch.Tensor, ...]) -> tuple[Any, torch.export.ExportedProgram | None]:
    # The exporter would not mind an output that is called as one of its inner values.
    wanted = {
        **{f"dwca.input.{index}": spec.name for index, spec in enumerate(model.inputs)},
        **{f"dwca.output.{index}": spec.name for index, spec in enumerate(model.outputs)},
    }
    count = len(model.inputs)
    proto, program = _run_exporter(model, arguments, list(wanted)[:count], list(wanted)[count:])
    rename_values(proto.graph, wanted)
    return proto, program


def _run_exporter(
    model: TorchModel, arguments: tuple[torch.Tensor, ...], input_names: list[str], output_names: list[str]
) -> tuple[Any, torch.export.ExportedProgram | None]:
    names: dict[str, Any] = {"input_names": input_names, "output_names": output_names}
    if isinstance(model.program, torch.jit.ScriptModule):
        import onnx

        buffer = io.BytesIO()
        destination: Any = buffer  # the tracing exporter writes to file objects too, its signature does not say so
        torch.onnx.export(model.program, arguments, destination, dynamo=False, **names)
        return onnx.load_from_string(buffer.getvalue()), None
    program = torch.onnx.export(model.program, arguments, dynamo=True, verbose=False, **names)
    assert program is not None  # noqa: S101  None only when a file is given
    return program.model_proto, program.exported_program


def _calls(program: torch.export.ExportedProgram | None) -> Calls:
    nodes = program.graph.nodes if program is not None else ()
    return {node.name: tuple(node.meta.get("nn_module_stack") or ()) for node in nodes}


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


def _scopes(proto: Any, wrapper: str, calls: Calls) -> dict[str, str]:
    """Name every value after the module, or the operation in a module, that computes it.

    The exporter notes at each node the path of modules that it comes from and its own name. The last node of a call of
    a module computes what the module returns and bears the module's name; what is computed on the way there bears the
    module's and its own. What is called or computed again is told apart by `#2`, `#3`, ...
    """
    runs: list[tuple[str, str, str, tuple[str, ...]]] = []  # value, path of the module, operation, calls it is in
    for node in proto.graph.node:
        scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), None)
        if scopes:
            *modules, operation = ast.literal_eval(scopes)
            path = _below(modules[-1] if modules else "", wrapper)
            runs.append((node.output[0], path, operation, calls.get(operation) or tuple(modules) or ("",)))
    names: dict[str, str] = {}
    taken: set[str] = set()
    for index, (value, path, operation, stack) in enumerate(runs):
        last = index + 1 == len(runs) or stack[-1] not in runs[index + 1][3]
        name = path if last and path else f"{path}.{re.sub(r'_[0-9]+$', '', operation)}".lstrip(".")
        names[value] = _numbered(name, _call_number(stack[-1]) if name == path else 1, taken)
        taken.add(names[value])
    return names


def _call_number(call: str) -> int:
    """1 for the first call of a module; torch writes `path@1` for the second."""
    match = re.search(r"@([0-9]+)$", call)
    return int(match[1]) + 1 if match else 1


def _numbered(name: str, number: int, taken: set[str]) -> str:
    """The name, with the first number from this one on that makes it another than those taken."""
    while (numbered := name if number == 1 else f"{name}#{number}") in taken:
        number += 1
    return numbered


def _below(path: str, wrapper: str) -> str:
    """A path of modules without the wrapper's name."""
    return "" if path == wrapper else path.removeprefix(f"{wrapper}.") if wrapper else path
