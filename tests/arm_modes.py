"""Prints as JSON how far a bundle is from its golden outputs on this machine, in every mode: needs the base install.

usage: python tests/arm_modes.py BUNDLE
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ncnn
import numpy as np

from dwca_export.parity.measure import measure
from dwca_export.runners.bundle import open_bundle
from dwca_export.runners.ncnn import MODES

if TYPE_CHECKING:
    from collections.abc import Mapping


def errors(bundle: Path, golden: Mapping[str, np.ndarray], **opened: Any) -> dict[str, float]:
    """Relative L2 error of each output, the worst sample's."""
    samples = sorted({key.split("/")[1] for key in golden if key.startswith("input/")})
    with open_bundle(bundle, **opened) as runner:
        feeds = [{spec.name: golden[f"input/{sample}/{spec.name}"] for spec in runner.inputs} for sample in samples]
        results = [runner.infer(feed) for feed in feeds]
    found = {}
    for name in results[0]:
        wanted = [golden[f"output/{sample}/{name}"] for sample in samples]
        measured = measure(name, wanted, [result[name] for result in results])
        assert not measured.fault, measured.fault
        found[name] = measured.relative_l2
    return found


def main(bundle: Path) -> None:
    """Measure and print."""
    networks = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["networks"]
    with np.load(bundle / "golden.npz") as file:
        golden = dict(file)
    document = {
        "machine": platform.machine(),
        "fp16_arithmetic": bool(ncnn.cpu_support_arm_asimdhp()),
        "errors": {
            precision: {mode: errors(bundle, golden, precision=precision, mode=mode) for mode in MODES}
            for precision in networks
        },
    }
    json.dump(document, sys.stdout)


main(Path(sys.argv[1]))
