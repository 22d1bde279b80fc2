"""Which kernel ncnn takes for every layer, on which machine, at which precision, and what is missed.

`lint` predicts from a table of facts read in ncnn's source; `findings` tells what misses a fast kernel, with a remedy.
"""

from __future__ import annotations

from dwca_export.kernel_paths.case import Blob
from dwca_export.kernel_paths.finding import Finding, findings, to_json
from dwca_export.kernel_paths.lint import KernelPath, lint
from dwca_export.kernel_paths.machine import MODES, TARGETS, Target, host_target

__all__ = ["MODES", "TARGETS", "Blob", "Finding", "KernelPath", "Target", "findings", "host_target", "lint", "to_json"]
