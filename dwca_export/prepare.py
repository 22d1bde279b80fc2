"""Brings a loaded network into inference form: it takes tensors and returns a tuple of named tensors."""

from __future__ import annotations

import inspect
import itertools
import math
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dwca_export.artifacts import TensorSpec, TorchModel
from dwca_export.errors import InputRefusedError
from dwca_export.limits import check_inputs, check_outputs
from dwca_export.loading.numbers import to_float32
from dwca_export.loading.text import one_line
from dwca_export.returned import named_tensors
from dwca_export.training import refuse_training, strip_training, unwrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dwca_export.artifacts import LoadedModel

    Named = list[tuple[str, torch.Tensor]]

# Preparation changes no arithmetic but the order of sums, and randomness worth its name is larger.
_SAME = 1e-5


def prepare(loaded: LoadedModel, shapes: Sequence[tuple[int, ...]] | None) -> TorchModel:
    """Bring a network into inference form and prove that it still computes the same.

    The module in `loaded` is changed in place: nobody else holds it, and a copy would double the memory.

    Args:
        loaded: What `load` returned, of any kind but `onnx`.
        shapes: Shape of each input, batch axis included; None for one 1x3x224x224 input.

    Raises:
        InputRefusedError: The network does not run on these shapes, is in training mode, has random or non-finite
            outputs, or returns what is no tensor.
    """
    shapes = [tuple(shape) for shape in shapes or ((1, 3, 224, 224),)]
    if loaded.kind == "exported_program":
        return _prepare_program(loaded.model, shapes)
    if loaded.kind == "torchscript":
        return _prepare_script(loaded.model, shapes)
    module, notes = unwrap(loaded.model)
    refuse_training(module.eval())
    notes += to_float32(module)
    inputs = _specs(_arguments(module), shapes)
    before = _run(module, inputs)
    notes += strip_training(module)
    outputs = _check_run(module, inputs, before)
    return TorchModel(_Flattened(module).eval(), inputs, outputs, (*notes, *_renamed(before, outputs)))


def _prepare_script(script: torch.jit.ScriptModule, shapes: Sequence[tuple[int, ...]]) -> TorchModel:
    refuse_training(script.eval())
    schema: Any = script.forward.schema  # type: ignore[attr-defined]  # TorchScript's, which mypy does not know
    inputs = _specs([argument.name for argument in schema.arguments[1:]], shapes)
    before = _run(script, inputs)
    outputs = _check_run(script, inputs, before)
    return TorchModel(_flat_script(script, inputs), inputs, outputs, _renamed(before, outputs))


def _flat_script(script: torch.jit.ScriptModule, inputs: Sequence[TensorSpec]) -> torch.jit.ScriptModule:
    """The exporter takes TorchScript that returns tensors or a tuple of them: tracing flattens anything else."""
    arguments = tuple(_noise(inputs))
    returned = script(*arguments)
    if all(isinstance(part, torch.Tensor) for part in (returned if isinstance(returned, tuple) else (returned,))):
        return script
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript is deprecated; it is what the user has
            flat: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
                _Flattened(script).eval(), arguments, check_trace=False
            )
    except RuntimeError as error:
        raise InputRefusedError(
            f"what the TorchScript returns cannot be flattened: {one_line(error)}",
            where="prepare",
            hint="return tensors, or tuples, lists and dicts of them, but not None",
        ) from error
    return flat


def _prepare_program(program: torch.export.ExportedProgram, shapes: Sequence[tuple[int, ...]]) -> TorchModel:
    refuse_training(program)
    names = program.graph_signature.user_inputs
    if len(names) != len(shapes):
        raise InputRefusedError(
            f"{len(shapes)} shapes given, the program takes {len(names)} inputs",
            where="prepare",
            hint="give --shape once per input",
        )
    inputs = _specs([str(name) for name in names], shapes)
    before = _run(program.module(), inputs)
    if program.range_constraints:
        # The ONNX exporter computes some kernel sizes of a program for several sizes from its example inputs.
        program = torch.export.export(program.module(), tuple(_noise(inputs)))
    outputs = _check_run(program.module(), inputs, before)
    return TorchModel(program, inputs, outputs, _renamed(before, outputs))


class _Flattened(nn.Module):
    """Returns the tensors in whatever the network returns, in order."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *arguments: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(tensor for _, tensor in named_tensors(self.model(*arguments)))


def _arguments(module: nn.Module) -> list[str]:
    """Names of the arguments of `forward` that can be given by position."""
    return [
        parameter.name
        for parameter in inspect.signature(module.forward).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]


def _specs(arguments: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> tuple[TensorSpec, ...]:
    """Name the inputs after the arguments of `forward`."""
    names = [*arguments, *(f"input_{index}" for index in range(len(arguments), len(shapes)))]
    inputs = tuple(TensorSpec(name, shape) for name, shape in zip(names, shapes, strict=False))
    check_inputs(inputs, "prepare")
    return inputs


def _noise(inputs: Sequence[TensorSpec]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(spec.shape, generator=generator) for spec in inputs]


def _run(module: Callable[..., Any], inputs: Sequence[TensorSpec]) -> Named:
    """Run on noise, made anew each time: a network may work in place on what it is given."""
    arguments = _noise(inputs)
    try:
        with torch.inference_mode():
            outputs = named_tensors(module(*arguments))
    except InputRefusedError:
        raise
    except Exception as error:  # whatever the user's forward raises
        shapes = ", ".join("x".join(map(str, spec.shape)) for spec in inputs)
        raise InputRefusedError(
            f"the network does not run on {shapes}: {one_line(error)}",
            where="prepare",
            hint="give the shape it was made for: --shape 1xCxHxW, once per input",
        ) from error
    _refuse_aliases([*((spec.name, argument) for spec, argument in zip(inputs, arguments, strict=True)), *outputs])
    return outputs


def _refuse_aliases(tensors: Named) -> None:
    """Refuse a tensor under two names: pnnx crashes on an output that nothing computes."""
    for (first, tensor), (second, other) in itertools.combinations(tensors, 2):
        if tensor is other:
            raise InputRefusedError(
                f"the network returns {first!r} again, as {second!r}",
                where="prepare",
                hint="return each tensor once, and no input",
            )


def _check_run(module: Callable[..., Any], inputs: Sequence[TensorSpec], before: Named) -> tuple[TensorSpec, ...]:
    """Run the prepared network and refuse outputs that nothing could be proven about."""
    after = _run(module, inputs)
    names = _distinct([name for name, _ in before], {spec.name for spec in inputs})
    outputs = tuple(TensorSpec(name, tuple(tensor.shape)) for name, (_, tensor) in zip(names, after, strict=True))
    check_outputs(outputs, "prepare")
    for (name, expected), (_, tensor) in zip(before, after, strict=True):
        _check_output(name, expected, tensor)
    return outputs


def _check_output(name: str, expected: torch.Tensor, tensor: torch.Tensor) -> None:
    if tensor.dtype != torch.float32:
        raise InputRefusedError(
            f"output {name!r} is {tensor.dtype}", where="prepare", hint="return float32 tensors only"
        )
    if not tensor.isfinite().all():
        raise InputRefusedError(
            f"output {name!r} holds NaN or infinity on noise", where="prepare", hint="check the weights"
        )
    error = (tensor - expected).abs().max().item() if tensor.shape == expected.shape else math.nan
    # Written so that NaN fails.
    if not error <= _SAME * expected.abs().max().item():
        raise InputRefusedError(
            f"output {name!r} changes by {error:.3g} from run to run or by preparation",
            where="prepare",
            hint="the network is random in eval mode; make forward deterministic",
        )


def _distinct(names: Iterable[str], taken: set[str]) -> list[str]:
    """The names, with `_out` behind one that an input or an earlier output has: ONNX wants each value named once."""
    distinct = []
    for name in names:
        while name in taken:
            name += "_out"  # noqa: PLW2901  the name is what is being changed
        taken = {*taken, name}
        distinct.append(name)
    return distinct


def _renamed(before: Named, outputs: Sequence[TensorSpec]) -> tuple[str, ...]:
    return tuple(
        f"output {name!r} is called {spec.name!r}: the name was taken"
        for (name, _), spec in zip(before, outputs, strict=True)
        if name != spec.name
    )
