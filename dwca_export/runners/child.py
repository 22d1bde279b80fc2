"""Runs ncnn networks in a child process: a broken network can corrupt the heap or never return.

The child (`worker.py`) answers each job with one line as soon as it is done, so the first job without an answer is the
one that crashed it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwca_export.errors import ConversionError
from dwca_export.runners.exchange import Feeds, load_samples, save_samples
from dwca_export.waiting_child import WaitingChild

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    import numpy as np

    from dwca_export.artifacts import TensorSpec


@dataclass(frozen=True)
class Job:
    """One network to be run on some samples.

    Attributes:
        name: What the network is called in errors.
        param: Its graph file.
        bin: Its weight file.
        inputs: See `NcnnRunner`.
        outputs: See `NcnnRunner`.
        mode: See `NcnnRunner`.
        blobs: Blobs to return instead of the outputs, keyed by blob name and without batch axis.
    """

    name: str
    param: str
    bin: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    mode: str = "fp32"
    blobs: tuple[str, ...] = ()


class NcnnChild:
    """A child process that runs jobs; started early, its start-up costs no time.

    Args:
        timeout: Seconds that one job may take.
    """

    def __init__(self, timeout: float = 300.0) -> None:
        self.timeout = timeout
        self._child = WaitingChild("dwca_export.runners.worker")

    def __enter__(self) -> NcnnChild:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)

    def start(self) -> None:
        """Start the process that the next `run` uses, unless it waits already."""
        self._child.start()

    def run(self, jobs: Sequence[Job], samples: Sequence[Mapping[str, np.ndarray]]) -> list[list[Feeds]]:
        """Run several networks on every sample.

        Returns:
            For each job one dict of arrays per sample, as `NcnnRunner.infer` (or `infer_blobs`) returns it.

        Raises:
            ConversionError: ncnn refuses one of the networks, fails, crashes or takes too long.
        """
        folder = self._child.folder
        feeds = folder / "feeds.npz"
        results = [folder / f"{index}.npz" for index in range(len(jobs))]
        save_samples(feeds, samples)
        request = {
            "feeds": str(feeds),
            "count": len(samples),
            "jobs": [_request(job, path) for job, path in zip(jobs, results, strict=True)],
        }
        self._ask([job.name for job in jobs], json.dumps(request))
        return [load_samples(path, len(samples)) for path in results]

    def _ask(self, names: Sequence[str], request: str) -> None:
        reply = self._child.ask(request, self.timeout * len(names))
        answers = [json.loads(line) for line in reply.output.splitlines()]
        said = f"ncnn printed: {self._child.said()}"
        for name, answer in zip(names, answers, strict=False):
            if answer["error"]:
                raise ConversionError(answer["error"], where=f"ncnn, {name}", hint=said)
        if len(answers) < len(names):
            culprit = f"ncnn, {names[len(answers)]}"
            if reply.late:
                raise ConversionError(f"ncnn takes more than {self.timeout:g} s", where=culprit, hint="raise --timeout")
            raise ConversionError(f"ncnn crashed ({reply.end or 'exit code 0'})", where=culprit, hint=said)


def _request(job: Job, results: Path) -> dict[str, Any]:
    # The child works in another folder.
    files = {"param": str(Path(job.param).absolute()), "bin": str(Path(job.bin).absolute())}
    return {**asdict(job), **files, "results": str(results)}
