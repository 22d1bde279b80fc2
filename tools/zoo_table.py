"""Exports every network of the zoo by its name, checks its bundle, and measures it in ncnn; prints one table.

usage: python tools/zoo_table.py [--out demo/zoo] [NAME ...]

Each step is the command that a user would type: `dwca-export zoo:NAME`, `dwca-parity BUNDLE`, and
`dwca-bench BUNDLE --quick`. What a network does on its test part is taken from its card. Exit code 1 if a step fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dwca_export import zoo
from dwca_export.errors import DwcaExportError

ROOT = Path(__file__).resolve().parents[1]
_METRICS = {"test_accuracy": "top-1", "test_map50": "mAP@0.5"}
_TITLES = ("network", "input", "on the test part", "export", "parity", "ncnn ms", "weights MB")
_SECONDS = 600


@dataclass(frozen=True)
class Row:
    """What came of one network.

    Attributes:
        name: In the zoo.
        shape: Of its input.
        measured: What its card says of the test part.
        comparisons: How many comparisons the export passed.
        modes: Precisions of ncnn in which the bundle passed.
        milliseconds: Median time of one image, fp32, one thread; None where emulated.
        is_stable: Whether the machine was calm enough for that time to be judged.
        megabytes: Of the weights in fp32.
        fault: The first step that failed; what follows from it is empty.
    """

    name: str
    shape: str = ""
    measured: str = ""
    comparisons: int = 0
    modes: tuple[str, ...] = ()
    milliseconds: float | None = None
    is_stable: bool = True
    megabytes: float = 0
    fault: str = ""


class StepError(Exception):
    """A command did not end with 0."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "demo/zoo", help="folder of the bundles")
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks (else all)")
    options = parser.parse_args(arguments)
    rows = []
    for name in options.names or zoo.names():
        print(f"zoo:{name} ...", file=sys.stderr, flush=True)
        rows.append(row_of(name, options.out.absolute()))
    print(table(rows))
    return int(not rows or any(row.fault for row in rows))


def row_of(name: str, out: Path) -> Row:
    """Export, check and measure one network."""
    try:
        card = zoo.find(name).card
        manifest = _json_of("export", f"zoo:{name}", "--out", str(out), "--force")
        bundle = manifest["bundle"]
        parity = _json_of("parity", bundle)
        bench = _json_of("bench", bundle, "--quick", "--variants", "none")
    except (DwcaExportError, StepError) as error:
        return Row(name, fault=" ".join(str(error).split()))
    first = bench["rows"][0]
    return Row(
        name,
        shape="x".join(map(str, card["input"]["shape"])),
        measured=", ".join(
            f"{title} {card['metrics'][key]:.1%}" for key, title in _METRICS.items() if key in card["metrics"]
        ),
        comparisons=len(manifest["parity"]),
        modes=tuple(mode["mode"] for mode in parity["modes"] if mode["status"] == "passed"),
        milliseconds=None if first["p50_us"] is None else first["p50_us"] / 1000,
        is_stable=bench["stable"],
        megabytes=first["weights_bytes"] / 1e6,
    )


def table(rows: list[Row]) -> str:
    """All rows as text, and below it what a reader has to know."""
    cells = [_TITLES, *(_cells(row) for row in rows if not row.fault)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    if any(not row.is_stable for row in rows):
        lines.append("* the machine was not calm: measure again for a time to rely on")
    lines += [f"{row.name}: failed: {row.fault}" for row in rows if row.fault]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    time = "not measured" if row.milliseconds is None else f"{row.milliseconds:.3f}{'' if row.is_stable else ' *'}"
    passed = f"{row.comparisons} passed"
    return row.name, row.shape, row.measured, passed, " ".join(row.modes), time, f"{row.megabytes:.2f}"


def _json_of(command: str, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", f"dwca_export.cli.{command}", *words, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise StepError(f"dwca-{command} ended with {done.returncode}: {done.stderr.partition('error: ')[2]}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


if __name__ == "__main__":
    sys.exit(main())
