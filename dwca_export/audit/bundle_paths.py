"""Which kernels ncnn takes for the network of a bundle, at the size that the bundle recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwca_export.audit.recorded import load_param, load_recorded
from dwca_export.kernel_paths import lint
from dwca_export.runners.bundle import open_bundle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dwca_export.kernel_paths import KernelPath


def lint_bundle(folder: Path, manifest: Mapping[str, Any]) -> tuple[KernelPath, ...]:
    """Run the first recorded sample for the shapes of all blobs, and look the kernels up for every target and mode.

    Args:
        folder: The bundle.
        manifest: Its manifest.

    Raises:
        InputRefusedError: The recorded tensors cannot be used.
        ConversionError: ncnn does not run the network, or a layer has parameters that no layer of ncnn has.
    """
    param, recorded = load_param(folder), load_recorded(folder, manifest)
    with open_bundle(folder, precision=next(iter(manifest["networks"]))) as runner:
        blobs = runner.infer_blobs(recorded.samples[0], param.blobs)
    return lint(param, {blob: array.shape for blob, array in blobs.items()})
