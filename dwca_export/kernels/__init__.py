"""Depthwise convolutions of our own: direct and Winograd, in C++, for x86 and ARM.

Without the native library everything here can be imported, and `missing` says what is missing; `plan` raises then.

    layer = kernels.Layer(64, 56, 56, kernel=5)
    plan = kernels.plan(layer, weight, algorithm="winograd_1d F(4,5)")
    y = plan(kernels.pack(x, plan.elempack, plan.storage))
"""

from __future__ import annotations

from dwca_export.kernels.bounds import error_bound
from dwca_export.kernels.layer import Layer
from dwca_export.kernels.layouts import pack, unpack
from dwca_export.kernels.native import UnavailableError, bandwidth, include_dir, isas, missing, peak_multiply_adds
from dwca_export.kernels.plan import Plan, algorithms, plan
from dwca_export.kernels.reference import reference

__all__ = [
    "Layer",
    "Plan",
    "UnavailableError",
    "algorithms",
    "bandwidth",
    "error_bound",
    "include_dir",
    "isas",
    "missing",
    "pack",
    "peak_multiply_adds",
    "plan",
    "reference",
    "unpack",
]
