"""Rewrites of the simplified ONNX graph, in order; each keeps what the graph computes and says whether it changed it.

They serve every kind of input (torch, TorchScript, exported programs, foreign ONNX) because they see the graph, not the
modules that it came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwca_export.rewrites import group_normalization, max_pooling, mean_pooling, one_axis_reduction, strip_transpose

if TYPE_CHECKING:
    from collections.abc import Callable

REWRITES: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    # First, because shapes are known behind it only when it has run.
    ("group normalization", group_normalization.apply),
    ("mean pooling", mean_pooling.apply),
    ("max pooling", max_pooling.apply),
    # After mean pooling, which takes the reductions that have a faster form.
    ("one-axis reduction", one_axis_reduction.apply),
    ("strip transpose", strip_transpose.apply),
)
