"""The child process of `child.py`: reads jobs from its standard input, runs them, answers one line of JSON each.

Imports numpy and ncnn only, so that it starts fast and also runs on the device.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from dwca_export.artifacts import tensor_specs
from dwca_export.errors import DwcaExportError
from dwca_export.runners.exchange import Feeds, load_samples, save_samples
from dwca_export.runners.ncnn import NcnnRunner


def _serve(job: dict[str, Any], samples: list[Feeds]) -> None:
    inputs, outputs = (tensor_specs(job[key]) for key in ("inputs", "outputs"))
    with NcnnRunner(Path(job["param"]), Path(job["bin"]), inputs, outputs, mode=job["mode"]) as runner:
        if job["blobs"]:
            results = [runner.infer_blobs(sample, job["blobs"]) for sample in samples]
        else:
            results = [runner.infer(sample) for sample in samples]
    save_samples(Path(job["results"]), results)


def _main() -> None:
    # What ncnn itself prints goes to standard error: standard output is for the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.loads(sys.stdin.read())
    samples = load_samples(Path(request["feeds"]), request["count"])
    for job in request["jobs"]:
        error = ""
        try:
            _serve(job, samples)
        except DwcaExportError as caught:
            error = caught.what
        answers.write(json.dumps({"error": error}) + "\n")
        answers.flush()


if __name__ == "__main__":
    _main()
