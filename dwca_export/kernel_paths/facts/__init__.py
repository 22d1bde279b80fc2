"""Which kernel ncnn takes: the facts, as data, each with the file of ncnn's `src/layer` that it was read in.

What no row speaks of was not read, and is not known. Newer versions of ncnn may differ: the tests hold what blobs show
(packing and storage of every layer) to the ncnn that is installed.
"""

from __future__ import annotations

from dwca_export.kernel_paths.facts import convolution, depthwise, others, pooling
from dwca_export.kernel_paths.facts.rows import Facts
from dwca_export.kernel_paths.facts.traits import OUTPUTS, TRAITS

NCNN_COMMIT = "a4d2ea1d4422c9e849f166fd7a4aefb52f942f6a"
NCNN_DATE = "2026-07-22"
"""The commit of ncnn that was read; the release before it is 20260526."""

FACTS = Facts(TRAITS, (*depthwise.KERNELS, *convolution.KERNELS, *pooling.KERNELS, *others.KERNELS), OUTPUTS)
