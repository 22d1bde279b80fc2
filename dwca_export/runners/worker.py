"""The child process of `child.py`: reads jobs from its standard input, runs them, answers one line of JSON each.

Imports numpy and ncnn only, so that it starts fast and also runs on the device.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.artifacts import TensorSpec
from dwca_export.errors import DwcaExportError
from dwca_export.runners.ncnn import NcnnRunner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Feeds = dict[str, np.ndarray]


def save_samples(path: Path, samples: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Write samples to a `.npz`; its keys are `<sample>/<name>`."""
    arrays: dict[str, Any] = {
        f"{index}/{name}": array for index, sample in enumerate(samples) for name, array in sample.items()
    }
    np.savez(path, **arrays)


def load_samples(path: Path, count: int) -> list[Feeds]:
    """Read what `save_samples` wrote."""
    samples: list[Feeds] = [{} for _ in range(count)]
    with np.load(path) as archive:
        for key in archive.files:
            index, name = key.split("/", 1)
            samples[int(index)][name] = archive[key]
    return samples


def _serve(job: dict[str, Any], samples: list[Feeds]) -> None:
    inputs, outputs = (
        [TensorSpec(spec["name"], tuple(spec["shape"]), spec["dtype"]) for spec in job[key]]
        for key in ("inputs", "outputs")
    )
    with NcnnRunner(Path(job["param"]), Path(job["bin"]), inputs, outputs, mode=job["mode"]) as runner:
        if job["blobs"]:
            results = [runner.infer_blobs(sample, job["blobs"]) for sample in samples]
        else:
            results = [runner.infer(sample) for sample in samples]
    save_samples(Path(job["results"]), results)


def _main() -> None:
    request = json.loads(sys.stdin.read())
    samples = load_samples(Path(request["feeds"]), request["count"])
    for job in request["jobs"]:
        error = ""
        try:
            _serve(job, samples)
        except DwcaExportError as caught:
            error = caught.what
        print(json.dumps({"error": error}), flush=True)  # noqa: T201  this is the answer's channel


if __name__ == "__main__":
    _main()
