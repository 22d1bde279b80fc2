"""Plants faults at random in the network of a bundle and counts how many `dwca-parity`'s audit catches and locates.

A mutation that leaves every blob of every recorded sample as it was, bit for bit, is without effect.

usage: python tools/mutation_study.py BUNDLE [--count 240] [--seed 0]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dwca_export.audit.forked import in_child
from dwca_export.audit.recorded import load_recorded
from dwca_export.audit.verdict import audit
from dwca_export.errors import ConversionError, DwcaExportError
from dwca_export.parity.tolerances import TOLERANCES
from dwca_export.runners.bundle import open_bundle, read_manifest
from tools.mutations import Mutation, plant, random_mutations, read_network

TIMEOUT = 120


@dataclass(frozen=True)
class Outcome:
    """What became of a mutation.

    Attributes:
        effect: "none" on any blob, or the outputs are "within tolerance" or "beyond tolerance".
        caught: Whether the audit failed.
        named: The layer that it named first; or why there is none.
        error: The largest relative L2 error of an output.
    """

    effect: str
    caught: bool
    named: str
    error: float = 0.0


def main() -> int:
    """Plant, audit, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sound = _blobs(arguments.bundle)
    network = read_network(arguments.bundle)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for mutation in islice(random_mutations(network, arguments.seed), arguments.count):
            planted = plant(arguments.bundle, Path(folder) / "planted_ncnn_model", mutation.network)
            outcome = _outcome(planted, sound)
            verdict = _verdict(mutation, outcome)
            counts[verdict] += 1
            if verdict not in ("located", "no effect"):
                where = ", ".join(mutation.layers)
                print(f"{verdict}: {mutation.kind} in {where}: named {outcome.named}, {outcome.effect}")
    _summarise(counts)
    return 1 if counts["missed"] else 0


def _verdict(mutation: Mutation, outcome: Outcome) -> str:
    if outcome.effect == "none":
        return "false alarm" if outcome.caught else "no effect"
    if not outcome.caught:
        return "missed" if outcome.effect == "beyond tolerance" else "too small"
    return "located" if outcome.named in mutation.layers else "caught, not located"


def _summarise(counts: Counter[str]) -> None:
    print(f"{sum(counts.values())} mutations")
    for verdict in ("located", "caught, not located", "missed", "too small", "no effect", "false alarm"):
        print(f"  {counts[verdict]:4} {verdict}")
    caught = counts["located"] + counts["caught, not located"]
    print(f"located exactly: {100 * counts['located'] / max(1, caught):.1f} % of those caught")


def _outcome(planted: Path, sound: list[dict[str, np.ndarray]]) -> Outcome:
    """What is planted may crash ncnn, or never end."""
    try:
        return in_child(lambda: _judge(planted, sound), str(planted), TIMEOUT)
    except ConversionError as error:
        return Outcome("beyond tolerance", True, error.what)


def _judge(planted: Path, sound: list[dict[str, np.ndarray]]) -> Outcome:
    try:
        result, *_ = audit(planted, modes=("fp32",))  # the fp32 network comes first
    except DwcaExportError as error:
        return Outcome("beyond tolerance", True, f"{error.where}: {error.what}")
    error = max(one.relative_l2 if not one.fault else np.inf for one in result.comparison.measurements)
    fault = result.first_fault
    named = fault.layer if fault else "no layer"
    return Outcome(_effect(planted, sound, error), result.status == "failed", named, error)


def _effect(planted: Path, sound: list[dict[str, np.ndarray]], error: float) -> str:
    if not error <= TOLERANCES["fp32"].relative_l2:
        return "beyond tolerance"
    changed = any(
        not np.array_equal(array, one[name], equal_nan=True)
        for one, other in zip(sound, _blobs(planted), strict=True)
        for name, array in other.items()
    )
    return "within tolerance" if changed else "none"


def _blobs(bundle: Path) -> list[dict[str, np.ndarray]]:
    """Every recorded blob, for every sample, as the bundle's network computes it."""
    recorded = load_recorded(bundle, read_manifest(bundle))
    with open_bundle(bundle) as runner:
        return [runner.infer_blobs(sample, list(recorded.blobs)) for sample in recorded.samples]


if __name__ == "__main__":
    sys.exit(main())
