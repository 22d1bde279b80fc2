"""Runs a torch network eagerly: the reference that everything else is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dwca_export.returned import named_tensors
from dwca_export.runners.base import check_feeds

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import TracebackType

    from dwca_export.artifacts import TorchModel


class TorchRunner:
    """Runs a `TorchModel` on the CPU in float32."""

    def __init__(self, model: TorchModel) -> None:
        self.model = model
        program = model.program
        self._call: Any = program.module() if isinstance(program, torch.export.ExportedProgram) else program

    def __enter__(self) -> TorchRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call = None

    def infer(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the network once; see `Runner.infer`."""
        check_feeds(feeds, self.model.inputs, "torch")
        # Copies: a network may work in place on what it is given, and the caller feeds others with the same arrays.
        arguments = [torch.from_numpy(np.array(feeds[spec.name], order="C")) for spec in self.model.inputs]
        with torch.inference_mode():
            tensors = [tensor for _, tensor in named_tensors(self._call(*arguments))]
        return {spec.name: tensor.numpy() for spec, tensor in zip(self.model.outputs, tensors, strict=True)}


def run_nodes(
    program: torch.export.ExportedProgram, arrays: Sequence[np.ndarray], names: Collection[str]
) -> dict[str, np.ndarray]:
    """Run an exported program eagerly, operation by operation, and return some of the values on the way.

    Args:
        program: What `torch.export` made of a network.
        arrays: Its inputs, in order, with batch axis.
        names: Names of the nodes to return.

    Returns:
        One array per node of that name that computes a tensor, with batch axis.
    """
    recorder = _Recorder(program.module(), names)
    with torch.inference_mode():
        recorder.run(*(torch.from_numpy(np.array(array, order="C")) for array in arrays))
    return recorder.found


class _Recorder(torch.fx.Interpreter):
    def __init__(self, module: torch.nn.Module, names: Collection[str]) -> None:
        super().__init__(module)
        self.names = names
        self.found: dict[str, np.ndarray] = {}

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        if n.name in self.names and isinstance(result, torch.Tensor):
            self.found[n.name] = result.numpy().copy()  # an operation further on may work in place
        return result
