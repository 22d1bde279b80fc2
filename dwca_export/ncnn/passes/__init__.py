"""Passes over an ncnn graph, in order; each keeps what the graph computes and says whether it changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwca_export.ncnn.passes import fuse_activation, remove_dead, remove_identity, stack_strips

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwca_export.ncnn.graph import Graph

PASSES: tuple[tuple[str, Callable[[Graph], tuple[Graph, bool]]], ...] = (
    ("remove_dead", remove_dead.apply),
    ("remove_identity", remove_identity.apply),
    # After both, because what is dead or does nothing may stand between a convolution and its activation.
    ("fuse_activation", fuse_activation.apply),
    # After fuse_activation, because the gates' sigmoids have to be inside their convolutions.
    ("stack_strips", stack_strips.apply),
)
