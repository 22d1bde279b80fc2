"""What the networks of the comparison cost: `python -m models.experiment.cost`, from the repository's root.

Parameters, multiply-adds of convolutions and linear layers, size of ncnn's weight file, and latency in ncnn beside that
of the baseline, on one thread. Weights have no influence on any of these, so that nothing needs to be trained before.

With `--find-width` it looks for the baseline that takes as long as DWCA.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dwca_export.bench.machine import read_machine
from dwca_export.errors import UsageError
from models.command import framed
from models.experiment import what
from models.experiment.equal_cost import multiply_adds
from models.experiment.exported import to_ncnn_files
from models.experiment.json_file import write_json
from models.experiment.latency import LatencyRatio, latency_ratios
from models.experiment.networks import COMMON, untrained

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from models.experiment.exported import NcnnFiles

    Document = dict[str, Any]

FILE = "cost.json"
BASE = "baseline"
# Multiples of 16 are what ncnn packs on machines with AVX-512, of 4 and 8 elsewhere: the choice that is kindest to the
# baseline, whose attention does not have to divide anything.
CHANNEL_STEP = 16
WIDTHS = tuple(round(0.35 + 0.01 * step, 2) for step in range(96))
# What is measured in full, of the widths on both sides of the one that was found.
_NEIGHBOURS = 2
_RUNS = Path("runs")


@dataclass(frozen=True)
class Effort:
    """How thoroughly latency is measured.

    Attributes:
        processes: How many processes measure all networks.
        rounds: Rounds in each process.

    Raises:
        UsageError: One of them is below 1.
    """

    processes: int = 8
    rounds: int = 150

    def __post_init__(self) -> None:
        for name, value in (("--processes", self.processes), ("--rounds", self.rounds)):
            if value < 1:
                raise UsageError(f"{value} is too few", where=name, hint="it is at least 1")


def measure(task: str, effort: Effort) -> list[Document]:
    """Measure all variants of a task.

    Args:
        task: Name of the task.
        effort: How thoroughly.

    Returns:
        One row per variant.

    Raises:
        ConversionError: A network cannot be exported or does not run.
    """
    shape = COMMON[task].shape
    networks = {name: untrained(task, variant) for name, variant in what.VARIANTS[task].items()}
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: to_ncnn_files(network, shape, Path(folder, f"{name}.ncnn.param"))
            for name, network in networks.items()
            if not _same_network_as_another(task, name)
        }
        params = {name: one.param for name, one in files.items()}
        ratios = latency_ratios(params, BASE, processes=effort.processes, rounds=effort.rounds)
    return [_row(task, name, networks[name], files[name], ratios[name]) for name in files]


def document(tasks: Sequence[str], effort: Effort) -> Document:
    """Measure tasks.

    Args:
        tasks: Their names.
        effort: How thoroughly.

    Returns:
        What goes into `cost.json`.
    """
    machine = read_machine()
    return {
        "schema": 1,
        "machine": machine.cpu,
        "ncnn": machine.ncnn,
        **asdict(effort),
        "rows": [row for task in tasks for row in measure(task, effort)],
    }


def find_width(effort: Effort, say: Callable[[str], None]) -> tuple[float, LatencyRatio]:
    """Look for the baseline that takes as long as DWCA, classifying 64x64 images.

    Args:
        effort: How thoroughly the last candidates are measured.
        say: Is told of every candidate.

    Returns:
        The width, at `CHANNEL_STEP`, and the baseline's latency in DWCA's.
    """
    candidates = distinct_widths(WIDTHS)
    with tempfile.TemporaryDirectory() as folder:
        params = {"dwca": _export(what.DWCA, Path(folder, "dwca.ncnn.param"))}

        def ratios_of(widths: Sequence[float], effort: Effort) -> dict[float, LatencyRatio]:
            for width in widths:
                if str(width) not in params:
                    params[str(width)] = _export(_widened(width), Path(folder, f"{width}.ncnn.param"))
            chosen = {name: params[name] for name in ("dwca", *map(str, widths))}
            found = latency_ratios(chosen, "dwca", processes=effort.processes, rounds=effort.rounds)
            for width in widths:
                say(f"width {width:.2f}: {_text(found[str(width)])} of DWCA's latency")
            return {width: found[str(width)] for width in widths}

        quick = Effort(processes=2, rounds=effort.rounds)
        place = first_not_below(candidates, lambda width: ratios_of([width], quick)[width].value)
        say("the neighbours, measured together:")
        near = ratios_of(candidates[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS], effort)
    return min(near.items(), key=lambda item: abs(item[1].value - 1))


def first_not_below(candidates: Sequence[float], ratio: Callable[[float], float]) -> int:
    """Find by bisection the first candidate that takes at least as long; the last one where none does.

    Args:
        candidates: Widths in ascending order; latency is taken to grow with them.
        ratio: Measures a candidate.
    """
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        if ratio(candidates[middle]) < 1:
            low = middle + 1
        else:
            high = middle
    return low


def distinct_widths(widths: Sequence[float]) -> list[float]:
    """Leave out widths that give the same network as the one before: channel counts come in steps."""
    kept: dict[int, float] = {}
    for width in widths:
        network = untrained("objects", _widened(width))
        kept.setdefault(multiply_adds(network, COMMON["objects"].shape), width)
    return list(kept.values())


@framed
def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0, 130 after an interruption, else that of the error.
    """
    options = _parser().parse_args(arguments)
    effort = Effort(options.processes, options.rounds)
    torch.set_num_threads(1)
    if options.find_width:
        width, ratio = find_width(effort, lambda line: print(line, flush=True))
        print(f"width {width:.2f} at channel_step {CHANNEL_STEP}: {_text(ratio)} of DWCA's latency")
        return 0
    content = document(options.task, effort)
    write_json(content, options.out)
    print("\n".join(map(_line, content["rows"])))
    print(options.out)
    return 0


def _same_network_as_another(task: str, name: str) -> bool:
    """Whether a variant differs from another in its training only."""
    return what.VARIANTS[task][name].batch is not None


def _row(task: str, name: str, network: torch.nn.Module, files: NcnnFiles, ratio: LatencyRatio) -> Document:
    return {
        "task": task,
        "variant": name,
        "parameters": sum(p.numel() for p in network.parameters()),
        "multiply_adds": multiply_adds(network, COMMON[task].shape),
        "bin_bytes": files.bin_bytes,
        "ncnn_layers": files.layers,
        "latency": {key: _rounded(value) for key, value in asdict(ratio).items()},
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _widened(width: float) -> what.Variant:
    return what.Variant("baseline", width=width, channel_step=CHANNEL_STEP)


def _export(variant: what.Variant, param: Path) -> Path:
    return to_ncnn_files(untrained("objects", variant), COMMON["objects"].shape, param).param


def _line(row: Mapping[str, Any]) -> str:
    sizes = (
        f"{row['parameters']:8} parameters, {row['multiply_adds']:9} multiply-adds, {row['bin_bytes']['fp32']:8} bytes"
    )
    ratio = LatencyRatio(**row["latency"])
    return f"{row['task']:8} {row['variant']:22} {sizes}, latency {_text(ratio)}"


def _text(ratio: LatencyRatio) -> str:
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.3f} ({ratio.why})"
    return f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m models.experiment.cost", description=__doc__, formatter_class=formatter
    )
    parser.add_argument("--task", nargs="+", choices=what.TASKS, default=list(what.TASKS), help="all by default")
    parser.add_argument("--processes", type=int, default=Effort.processes, help="that measure, in turn (%(default)s)")
    parser.add_argument("--rounds", type=int, default=Effort.rounds, help="in each process (%(default)s)")
    parser.add_argument("--out", type=Path, default=_RUNS / FILE, help="(%(default)s)")
    parser.add_argument("--find-width", action="store_true", help="of a baseline that takes as long as DWCA")
    return parser


if __name__ == "__main__":
    sys.exit(main())
