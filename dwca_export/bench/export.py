"""A document in the forms that other tools read: JSON, CSV, and the JSON of pyperf."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwca_export.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MICRO = 1e6
_CSV = (
    *("layer", "name", "unavailable", "p50_us", "p90_us", "p99_us", "min_us", "mad_us", "rounds"),
    *("ratio", "ratio_low", "ratio_high", "max_error"),
)
# Columns that only some kinds of documents have.
_CSV_MORE = (
    *("relative_l2", "peak_rss_bytes", "network_rss_bytes", "weights_bytes", "type", "depthwise", "share"),
    *("multiply_adds", "gflops", "gbytes_per_second", "percent_of_peak", "percent_of_bandwidth", "kernel"),
)


def to_json(document: Mapping[str, Any]) -> bytes:
    """The document as JSON, on one line per value."""
    return (json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1) + "\n").encode()


def to_csv(document: Mapping[str, Any]) -> bytes:
    """One line per row, without the samples; a first line names the columns."""
    rows = document["rows"]
    columns = [*_CSV, *(name for name in _CSV_MORE if any(name in row for row in rows))]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)
    return text.getvalue().encode()


def to_pyperf(document: Mapping[str, Any]) -> bytes:
    """One benchmark per row that has times, each with one run, in the format of pyperf's JSON files, version 1.0."""
    machine = document["machine"]
    metadata = {
        "cpu_model_name": machine["cpu"],
        "cpu_count": machine["cores"],
        "platform": machine["system"],
        "python_version": machine["python"],
        "ncnn_version": machine["ncnn"],
    }
    benchmarks = [
        {
            "metadata": {"name": row_name(row), "unit": "second", "loops": 1},
            "runs": [{"values": values}],
        }
        for row in document["rows"]
        # A layer may take less than can be told, and pyperf takes no time of 0.
        if (values := [sample / _MICRO for sample in row["samples_us"] or () if sample > 0])
    ]
    return to_json({"version": "1.0", "metadata": metadata, "benchmarks": benchmarks})


def row_name(row: Mapping[str, Any]) -> str:
    """What a row is called in the whole document: kernels are measured once for each layer."""
    layer = row.get("layer")
    return f"{layer} {row['name']}" if layer else str(row["name"])


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that there is the old one or the new one, whatever happens, and never a part of one.

    Raises:
        UsageError: It cannot be written.
    """
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
        with _removed_on_failure(Path(temporary)), os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
            os.fchmod(descriptor, 0o666 & ~_umask())
            Path(temporary).replace(path)
    except OSError as error:
        hint = "name a file in a folder that is there and can be written to"
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path), hint=hint) from error


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _umask() -> int:
    """The permissions that new files do not get; the system tells them only when they are set."""
    current = os.umask(0o022)
    os.umask(current)
    return current
