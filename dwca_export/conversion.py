"""One network at one input size, taken through all hops up to what pnnx writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dwca_export.artifacts import NcnnModel, OnnxModel, TorchModel
from dwca_export.prepare import prepare
from dwca_export.runners.ort import OrtRunner
from dwca_export.runners.torch import TorchRunner
from dwca_export.simplify import open_onnx, rewrite, simplify
from dwca_export.to_ncnn import to_ncnn
from dwca_export.to_onnx import to_onnx

if TYPE_CHECKING:
    from dwca_export.artifacts import LoadedModel
    from dwca_export.progress import Progress
    from dwca_export.runners.base import Runner
    from dwca_export.sizes import Shapes
    from dwca_export.workers import Workers


@dataclass(frozen=True)
class Conversion:
    """What every hop made of the network.

    Attributes:
        given: The network as it came, in inference form.
        onnx: The ONNX graphs that the hops made of it, in order, each with its name.
        ncnn: What pnnx wrote.
        rewrites: Names of the ONNX rewrites that were applied.
    """

    given: TorchModel | OnnxModel
    onnx: tuple[tuple[str, OnnxModel], ...]
    ncnn: NcnnModel
    rewrites: tuple[str, ...]


@dataclass(frozen=True)
class Opener:
    """Brings a loaded network into inference form, once for each input size.

    `prepare` changes the network in place: only the first time it has anything to note, and nobody may lose that.

    Attributes:
        loaded: What `load` returned.
    """

    loaded: LoadedModel
    _prepared: dict[Shapes | None, TorchModel] = field(default_factory=dict, init=False, repr=False)

    def at(self, shapes: Shapes | None) -> TorchModel | OnnxModel:
        """The network for some input shapes; None for those that it names.

        Raises:
            InputRefusedError: It does not run on them.
        """
        if self.loaded.kind == "onnx":
            return open_onnx(self.loaded, shapes)  # not kept: each has weights of its own
        if shapes not in self._prepared:
            self._prepared[shapes] = prepare(self.loaded, shapes)
        return self._prepared[shapes]


def reference(given: TorchModel | OnnxModel) -> tuple[str, Runner]:
    """The backend that all others are compared with, and its name: eager torch, or ONNX Runtime."""
    if isinstance(given, TorchModel):
        return "torch", TorchRunner(given)
    return "ONNX as given", OrtRunner(given, "ONNX as given")


def convert(
    opener: Opener,
    shapes: Shapes | None,
    progress: Progress,
    workers: Workers,
    timeout: float,
) -> Conversion:
    """Run the hops from the loaded model to what pnnx writes.

    Args:
        opener: The loaded network.
        shapes: Shape of each input, or None for what the model says.
        progress: Told of every hop.
        workers: Run onnxsim, and warm up for what follows.
        timeout: Seconds that onnxsim and pnnx may take.

    Raises:
        InputRefusedError: The network does not run on these shapes.
        ConversionError: A hop fails.
    """
    with progress.hop("prepare") as hop:
        given = opener.at(shapes)
        inputs = (f"{spec.name} {'x'.join(map(str, spec.shape))}" for spec in given.inputs)
        notes = given.notes if isinstance(given, TorchModel) else ()
        hop.says("; ".join([", ".join(inputs), *notes]))
    # Not before: eager torch takes all cores, and waits for the slowest.
    workers.start()
    stages = []
    exported = given
    if isinstance(exported, TorchModel):
        with progress.hop("to_onnx") as hop:
            exported = to_onnx(exported)
            stages.append(("ONNX", exported))
            hop.says(f"{len(exported.proto.graph.node)} nodes, opset {exported.proto.opset_import[0].version}")
    with progress.hop("simplify") as hop:
        simplified = simplify(exported, workers.onnxsim, timeout=timeout)
        stages.append(("simplified ONNX", simplified))
        rewritten, rewrites = rewrite(simplified)
        if rewrites:
            stages.append(("rewritten ONNX", rewritten))
        hop.says(f"{len(rewritten.proto.graph.node)} nodes; rewrites: {', '.join(rewrites) or 'none'}")
    with progress.hop("to_ncnn") as hop:
        ncnn = to_ncnn(rewritten, timeout=timeout)
        hop.says(f"{len(ncnn.param.layers)} layers, of which {len(ncnn.taps)} taps")
    return Conversion(given, tuple(stages), ncnn, rewrites)
