"""The exception tree. Every error says what was wrong, where, and what to do; the CLI prints it without a traceback.

::

    DwcaExportError            exit code 1   something is wrong inside dwca-export
    ├── UsageError             exit code 2   the command line cannot be obeyed
    ├── InputRefusedError      exit code 3   the checkpoint, its shape or its data cannot be used
    ├── ConversionError        exit code 4   a hop could not convert the network
    ├── ParityError            exit code 5   the converted network computes something else
    ├── UnstableError          exit code 6   the machine is too restless for a measurement to be judged
    └── SlowerError            exit code 7   a measurement is slower than the one it was compared with
"""

from __future__ import annotations


class DwcaExportError(Exception):
    """Base of all errors that dwca-export raises on purpose.

    Args:
        what: What is wrong, naming the thing that is.
        where: The hop, layer or file that it concerns.
        hint: What the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  -> {self.hint}" if self.hint else text


class UsageError(DwcaExportError):
    """The command line or the arguments cannot be obeyed."""

    exit_code = 2


class InputRefusedError(DwcaExportError):
    """The checkpoint, the input shape or the sample data cannot be used."""

    exit_code = 3


class ConversionError(DwcaExportError):
    """A hop could not convert the network, or what it produced does not load and run."""

    exit_code = 4


class ParityError(DwcaExportError):
    """The converted network does not compute the same numbers."""

    exit_code = 5


class UnstableError(DwcaExportError):
    """The machine is too restless, or too slow to settle, for its times to be judged."""

    exit_code = 6


class SlowerError(DwcaExportError):
    """A measurement is slower than the older one that it was compared with."""

    exit_code = 7
