"""What `dwca-parity --fix-precision` does: finds the mask, writes the bundle that has it, says what it costs."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from dwca_export.audit.bundle_paths import lint_bundle
from dwca_export.audit.forked import in_child
from dwca_export.audit.integrity import open_whole_bundle
from dwca_export.audit.precision import find_precision_fix
from dwca_export.audit.precision_bundle import fixed_folder, write_fixed
from dwca_export.audit.user_data import open_data, samples_of
from dwca_export.kernel_paths import host_target
from dwca_export.staging import check_target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dwca_export.audit.check import CheckRequest
    from dwca_export.audit.precision import PrecisionFix

# Every trial runs all samples.
MOST_SAMPLES = 32


def fix_precision(
    request: CheckRequest, mode: str, *, out: Path | None = None, force: bool = False
) -> tuple[CheckRequest, dict[str, Any]]:
    """Find the fewest layers that need a mask for a mode to pass, and write a bundle in which they have it.

    Args:
        request: The bundle and how it is judged; of its data `MOST_SAMPLES` are used.
        mode: The mode that is to pass.
        out: Where the new bundle goes; see `fixed_folder`.
        force: Whether a bundle that is there already may be replaced.

    Returns:
        The request for the bundle to be judged now, and what was done as a JSON object.

    Raises:
        UsageError: The mode cannot be fixed here, or the bundle not be written there.
        InputRefusedError: No whole bundle, or data that do not fit.
        ConversionError: ncnn does not run the network.
        ParityError: No mask helps.
    """
    folder, manifest = request.bundle, open_whole_bundle(request.bundle)[0]
    target = fixed_folder(folder, mode, out)
    check_target(target, force=force)
    fix = in_child(lambda: _find(request, mode, manifest), str(folder))
    if not fix.layers:
        return request, _describe(fix, None, {})
    settings: dict[str, Any] = {"tolerances": request.tolerances, "threads": request.threads}
    written = write_fixed(folder, fix, target, force=force, **settings)
    kernels = in_child(lambda: _kernels(target, written, fix), str(target))
    return replace(request, bundle=target), _describe(fix, target, kernels)


def _find(request: CheckRequest, mode: str, manifest: Mapping[str, Any]) -> PrecisionFix:
    source = open_data(request.images, manifest) if request.images else None
    more = tuple(islice(samples_of(source, manifest), MOST_SAMPLES)) if source else ()
    settings: dict[str, Any] = {"tolerances": request.tolerances, "threads": request.threads}
    return find_precision_fix(request.bundle, mode, more=more, **settings)


def _kernels(folder: Path, manifest: Mapping[str, Any], fix: PrecisionFix) -> dict[str, tuple[str, str]]:
    """The kernel of each masked layer on this machine, and the one that it had without the mask, if another."""
    host = host_target()
    return {
        path.layer: (path.kernel, path.unmasked)
        for path in lint_bundle(folder, manifest)
        if host and (path.target, path.mode) == (host.name, fix.mode) and path.layer in fix.layers
    }


def _describe(fix: PrecisionFix, target: Path | None, kernels: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    layers = []
    for layer, module in zip(fix.layers, fix.modules, strict=True):
        kernel, unmasked = kernels.get(layer, ("", ""))
        layers.append({"layer": layer, "module": module, "kernel": kernel, "unmasked": unmasked})
    return {
        "mode": fix.mode,
        "mask": fix.mask,
        "layers": layers,
        "computing": fix.computing,
        "converters": fix.converters,
        "trials": fix.trials,
        "faults": list(fix.faults),
        "bundle": str(target) if target else None,
    }
