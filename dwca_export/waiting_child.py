"""A Python process that was started early and waits for one request: when that comes, its imports are done."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dwca_export.exit_status import describe_exit

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(frozen=True)
class Reply:
    """How a request ended.

    Attributes:
        output: What the process printed on standard output, also if it failed.
        end: How the process ended if it failed: the signal, the exit code, or empty.
        late: Whether it was stopped because it took too long.
    """

    output: str
    end: str
    late: bool


class WaitingChild:
    """Runs a module as `python -m`, which reads its request from standard input; a request uses the process up.

    Args:
        module: The module.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self._process: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="dwca-child-")
        self.folder = Path(self._folder.name)
        self._stderr = (self.folder / "stderr").open("w+", encoding="utf-8", errors="replace")

    def __enter__(self) -> WaitingChild:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._stderr.close()
        self._folder.cleanup()

    def start(self) -> subprocess.Popen[str]:
        """Start the process, unless one waits already."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                # Python puts the working folder first on its path, where the user's may hold an `ncnn.py`.
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                text=True,
                encoding="utf-8",
            )
        return self._process

    def ask(self, request: str, timeout: float) -> Reply:
        """Send the request and wait for the process to end.

        Args:
            request: Text for its standard input.
            timeout: Seconds that it may take.
        """
        process = self.start()
        self._process = None
        self._stderr.seek(0)
        self._stderr.truncate()
        try:
            output, _ = process.communicate(request, timeout=timeout)
        except BaseException as error:
            process.kill()
            output, _ = process.communicate()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return Reply(output, describe_exit(process.returncode), late=True)
        return Reply(output, describe_exit(process.returncode) if process.returncode else "", late=False)

    def said(self) -> str:
        """The end of what the last process printed on standard error."""
        self._stderr.seek(0)
        lines = [line for line in self._stderr.read().splitlines() if line.strip()]
        return " | ".join(lines[-5:]) or "nothing"
