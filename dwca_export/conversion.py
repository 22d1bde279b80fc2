"""One network at one input size, taken through all hops up to what pnnx writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwca_export.prepare import prepare
from dwca_export.runners.ort import OrtRunner
from dwca_export.runners.torch import TorchRunner
from dwca_export.simplify import open_onnx, rewrite, simplify
from dwca_export.to_ncnn import to_ncnn
from dwca_export.to_onnx import to_onnx

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwca_export.artifacts import LoadedModel, NcnnModel, OnnxModel, TensorSpec, TorchModel
    from dwca_export.progress import Progress
    from dwca_export.runners.base import Runner


@dataclass(frozen=True)
class Conversion:
    """What every hop made of the network.

    Attributes:
        torch: The network in inference form; None where it came as ONNX.
        onnx: The ONNX graphs in order, each with the name of the hop that made it.
        ncnn: What pnnx wrote.
        rewrites: Names of the ONNX rewrites that were applied.
    """

    torch: TorchModel | None
    onnx: tuple[tuple[str, OnnxModel], ...]
    ncnn: NcnnModel
    rewrites: tuple[str, ...]

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the network takes."""
        return self.ncnn.inputs

    def reference(self) -> Runner:
        """The backend that everything else is compared with."""
        return reference(self.torch, self.onnx[0][1])


def reference(torch: TorchModel | None, onnx: OnnxModel) -> Runner:
    """Eager torch, or ONNX Runtime on the graph as it was given."""
    return TorchRunner(torch) if torch is not None else OrtRunner(onnx, "onnx")


def convert(
    loaded: LoadedModel, shapes: Sequence[tuple[int, ...]] | None, progress: Progress, timeout: float
) -> Conversion:
    """Run the hops from the loaded model to what pnnx writes.

    Args:
        loaded: What `load` returned.
        shapes: Shape of each input, or None for what the model says.
        progress: Told of every hop.
        timeout: Seconds that pnnx may take.

    Raises:
        InputRefusedError: The network does not run on these shapes.
        ConversionError: A hop fails.
    """
    torch_model, stages = _to_onnx(loaded, shapes, progress)
    with progress.hop("simplify") as hop:
        stages.append(("simplified ONNX", simplify(stages[-1][1])))
        rewritten, rewrites = rewrite(stages[-1][1])
        if rewrites:
            stages.append(("rewritten ONNX", rewritten))
        hop.says(f"{len(rewritten.proto.graph.node)} nodes; rewrites: {', '.join(rewrites) or 'none'}")
    with progress.hop("to_ncnn") as hop:
        ncnn = to_ncnn(rewritten, timeout=timeout)
        hop.says(f"{len(ncnn.param.layers)} layers, {len(ncnn.taps)} taps among them")
    return Conversion(torch_model, tuple(stages), ncnn, rewrites)


def _to_onnx(
    loaded: LoadedModel, shapes: Sequence[tuple[int, ...]] | None, progress: Progress
) -> tuple[TorchModel | None, list[tuple[str, OnnxModel]]]:
    if loaded.kind == "onnx":
        with progress.hop("prepare") as hop:
            given = open_onnx(loaded, shapes)
            hop.says(_describe(given.inputs))
        return None, [("ONNX", given)]
    with progress.hop("prepare") as hop:
        model = prepare(loaded, shapes)
        hop.says("; ".join([_describe(model.inputs), *model.notes]))
    with progress.hop("to_onnx") as hop:
        exported = to_onnx(model)
        hop.says(f"{len(exported.proto.graph.node)} nodes, opset {exported.proto.opset_import[0].version}")
    return model, [("ONNX", exported)]


def _describe(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {'x'.join(map(str, spec.shape))}" for spec in specs)
