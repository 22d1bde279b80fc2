"""How long networks take in ncnn beside one of them: in turn, round by round, in several processes.

Within one process all see the same machine, so that its moods cancel in the ratios; but where a process happens to lie
in memory favours one network or another by some per cent. So each ratio is measured in several processes, and its
interval is over these.

`python -m models.experiment.latency ROUNDS SEED FILE.param ...` is one of the processes: it prints the median of the
rounds' ratios to the first file's time.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dwca_export.bench.network import Network
from dwca_export.bench.schedule import Case, measure
from dwca_export.bench.statistics import paired_ratio
from dwca_export.bench.target import open_target
from dwca_export.bench.variants import Variant
from dwca_export.errors import ConversionError
from models.experiment.statistics import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 1800.0


@dataclass(frozen=True)
class LatencyRatio:
    """Latency of a network, in those of another.

    Attributes:
        value: Geometric mean of the processes' ratios.
        low: Lower end of the t interval at 95 % over the processes; None where there is none.
        high: Upper end.
        processes: The ratio that each process measured.
        why: Why there is no interval; empty where there is one.
    """

    value: float
    low: float | None
    high: float | None
    processes: tuple[float, ...]
    why: str = ""


def latency_ratios(params: Mapping[str, Path], base: str, *, processes: int, rounds: int) -> dict[str, LatencyRatio]:
    """Measure networks on one thread, in full precision.

    Args:
        params: Graph files, their weights beside them, by name.
        base: Name of the one that the others are compared with.
        processes: How many processes measure all of them, one after the other.
        rounds: Rounds in each process.

    Returns:
        By name; that of `base` is 1 by definition.

    Raises:
        ConversionError: ncnn does not run one of them.
    """
    names = [base, *(name for name in params if name != base)]
    files = [params[name] for name in names]
    columns = zip(*(_process(files, rounds, seed) for seed in range(processes)), strict=True)
    measured = dict(zip(names[1:], map(combined, columns), strict=True))
    return {name: measured.get(name, LatencyRatio(1.0, 1.0, 1.0, (1.0,) * processes)) for name in params}


def combined(ratios: Sequence[float]) -> LatencyRatio:
    """Bring the ratios that several processes measured together.

    Args:
        ratios: One per process, positive.
    """
    logarithms = mean_interval([math.log(ratio) for ratio in ratios])
    low, high = (end and math.exp(end) for end in (logarithms.low, logarithms.high))
    return LatencyRatio(math.exp(logarithms.mean), low, high, tuple(ratios), logarithms.why.replace("seed", "process"))


def _process(files: Sequence[Path], rounds: int, seed: int) -> list[float]:
    command = [sys.executable, "-m", "models.experiment.latency", str(rounds), str(seed), *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False)
    if done.returncode:
        raise ConversionError("a network does not run", where="latency", hint="see what was printed on standard error")
    ratios: list[float] = json.loads(done.stdout)
    return ratios


def _measure(files: Sequence[Path], rounds: int, seed: int) -> list[float]:
    """Ratios of all files but the first to the first."""
    order = list(range(len(files)))
    random.Random(seed).shuffle(order)  # noqa: S311 # whose place in the round favours it is nothing secret
    networks = {str(index): Network(open_target(files[index].resolve()), Variant()) for index in order}
    cases = [Case(name, network.time_once) for name, network in networks.items()]
    samples = measure(cases, min_rounds=rounds, min_seconds=0)
    base = samples["0"].seconds
    return [paired_ratio(samples[str(index)].seconds, base).value for index in range(1, len(files))]


if __name__ == "__main__":
    print(json.dumps(_measure([Path(name) for name in sys.argv[3:]], int(sys.argv[1]), int(sys.argv[2]))))
