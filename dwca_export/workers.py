"""The child processes of an export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.runners.child import NcnnChild
from dwca_export.simplify import onnxsim_child

if TYPE_CHECKING:
    from types import TracebackType


class Workers:
    """The processes that run onnxsim and ncnn.

    Args:
        timeout: Seconds that one request may take.

    Attributes:
        onnxsim: See `simplify`.
        ncnn: See `NcnnChild`.
    """

    def __init__(self, timeout: float) -> None:
        self.onnxsim = onnxsim_child()
        self.ncnn = NcnnChild(timeout)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.onnxsim.__exit__(kind, error, trace)
        self.ncnn.__exit__(kind, error, trace)

    def start(self) -> None:
        """Let them import what they need while the caller is busy with one core only."""
        self.onnxsim.start()
        self.ncnn.start()
