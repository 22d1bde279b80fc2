"""The child process of one run: reads its request from standard input, prints a line of JSON after every epoch."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dwca_export.errors import DwcaExportError, UsageError
from models.experiment.one_run import carry_out
from models.experiment.what import Run
from models.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.training import Epoch

INTERRUPTED = 130


def main() -> int:
    """Carry out the run that standard input asks for.

    Returns:
        Exit code: 0, `INTERRUPTED`, or that of the error, which is printed to standard error.
    """
    request: dict[str, Any] = json.loads(sys.stdin.read())
    # Runs side by side are faster than the threads of one: the networks are small.
    torch.set_num_threads(1)
    run, runs = Run(**request["run"]), Path(request["runs"])
    try:
        with alone_in(run.folder(runs)):
            result = carry_out(
                run,
                Recipe(**request["recipe"]),
                request["dataset"],
                Path(request["data"]) if request["data"] else None,
                runs,
                request["device"],
                _report,
            )
    except DwcaExportError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    _tell({"metrics": result["metrics"]})
    return 0


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from working on a run's folder, until this one leaves it or ends.

    Args:
        folder: The run's folder, which is made.

    Raises:
        UsageError: Another process works on it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        hint = "--runs names another folder"
        raise UsageError(f"cannot be written ({error.strerror})", where=str(folder), hint=hint) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        hint = "wait for it, or --runs names another folder"
        raise UsageError("another command trains this run", where=str(folder), hint=hint) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _report(epochs: list[Epoch]) -> None:
    _tell({"epochs": len(epochs), "loss": epochs[-1].loss})


def _tell(message: dict[str, Any]) -> None:
    try:
        print(json.dumps(message), flush=True)
    except BrokenPipeError:
        # Whoever started this run is gone. The epoch is kept; nothing may be flushed to the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


if __name__ == "__main__":
    sys.exit(main())
