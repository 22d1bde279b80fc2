"""Runs an ONNX graph with ONNX Runtime."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# onnxruntime reports its use to its vendor unless told not to before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from dwca_export.errors import ConversionError
from dwca_export.loading.text import one_line
from dwca_export.runners.base import check_feeds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    import numpy as np

    from dwca_export.artifacts import OnnxModel


class OrtRunner:
    """Runs an `OnnxModel` on the CPU in float32.

    Raises:
        ConversionError: ONNX Runtime does not accept the graph.
    """

    def __init__(self, model: OnnxModel, where: str) -> None:
        self.model = model
        self.where = where
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # The graph is to be judged as it stands, not as a second optimiser would improve it.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        try:
            self._session = onnxruntime.InferenceSession(
                model.proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises its own unrelated classes
            raise ConversionError(f"ONNX Runtime refuses the graph: {one_line(error)}", where=where) from error

    def __enter__(self) -> OrtRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._session

    def infer(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the graph once; see `Runner.infer`."""
        check_feeds(feeds, self.model.inputs, self.where)
        names = [value.name for value in self._session.get_outputs()]
        try:
            results = self._session.run(names, dict(feeds))
        except Exception as error:  # ONNX Runtime raises its own unrelated classes
            raise ConversionError(f"ONNX Runtime fails: {one_line(error)}", where=self.where) from error
        return dict(zip(names, results, strict=True))
