"""Makes the tables and the plots of docs/pages/winograd.md.

usage: python tools/winograd_figures.py                  from docs/winograd.json, where the last figures are
       python tools/winograd_figures.py --from FILE ...  from documents of `dwca-bench kernels --isa ISA --json` and of
                                                         `tools/icount --json`; the others stay as they are
       python tools/winograd_figures.py --measure        runs both first: some minutes, on a machine with nothing else

Tables go to standard output, as Markdown; plots, where matplotlib is installed (`pip install '.[docs]'`), to
docs/pages/figures. The same figures make the same files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.winograd_tables import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Document = dict[str, Any]
    Row = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs/winograd.json"
PLOTS = ROOT / "docs/pages/figures"

SHAPES = ("64x56x56", "128x28x28", "32x112x112", "256x14x14")
LAYERS = (
    ("--kernel=5", *SHAPES),
    ("--kernel=3", *SHAPES),
    ("--kernel=5", "--stride=2", SHAPES[0]),
    ("--kernel=3", "--stride=2", SHAPES[0]),
    ("--kernel=7", SHAPES[0]),
)
COUNTED = ("64x56x56", "128x28x28", "256x14x14")

_TIMED = ("layer", "name", "ratio", "ratio_low", "ratio_high", "error_epsilons", "percent_of_peak")
_COUNTS = ("layer", "name", "cpu", "storage", "arithmetic", "per_4_outputs")


def measured(seconds: float) -> Iterator[Document]:
    """Documents of both commands, one after the other."""
    from dwca_export import kernels

    for isa in kernels.isas():
        for layer in LAYERS if isa in ("avx2", "avx512") else ():
            form = [f"--shape={word}" if word[0] != "-" else word for word in layer]
            yield _document(["dwca-bench", "kernels", f"--isa={isa}", *form, "--no-blocks", "--no-frameworks"], seconds)
    yield _document([str(ROOT / "tools/icount"), *COUNTED, "--kernel=5", "--kernel=3"])


def _document(command: Sequence[str], seconds: float | None = None) -> Document:
    timed = [] if seconds is None else [f"--min-time={seconds:g}"]
    if command[0] == "dwca-bench":  # of this Python's environment
        command = [sys.executable, "-m", "dwca_export.cli.bench", *command[1:]]
    print(f"running {' '.join(command)}", file=sys.stderr, flush=True)
    done = subprocess.run([*command, *timed, "--json"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def merged(figures: Document, documents: Iterable[Document]) -> Document:
    """The figures with those of the documents, which replace the ones of the same instruction set or of AArch64.

    Raises:
        ValueError: A document is none of both commands', is not complete, has no times, or does not say its
            instruction set.
    """
    new: Document = {}
    for document in documents:
        place, rows = _rows(document)
        new.setdefault(place, []).extend(rows)
    return dict(sorted({**figures, **new}.items()))


def _rows(document: Document) -> tuple[str, list[Row]]:
    if document.get("schema") == "dwca-icount/1":
        return "aarch64", [_only(row, _COUNTS) for row in document["rows"] if "unavailable" not in row]
    if document.get("schema") != "dwca-bench/1" or document["kind"] != "kernels":
        raise ValueError("no document of `dwca-bench kernels --json` or `tools/icount --json`")
    if not document["complete"] or document["emulated"]:
        raise ValueError("an interrupted measurement, or one under emulation")
    isa = document["settings"]["isa"]
    if isa is None:
        raise ValueError("measured without --isa, so that it is not known which kernels these were")
    wrong = [f"{row['layer']}: {row['name']}" for row in document["rows"] if row.get("is_right") is False]
    if wrong:
        raise ValueError(f"these compute something wrong: {', '.join(wrong)}")
    rows = [row for row in document["rows"] if row["unavailable"] is None and not row["name"].startswith("auto")]
    return isa, [_only(row, _TIMED) for row in rows]


def _only(row: Row, keys: Sequence[str]) -> Row:
    return {key: _rounded(row[key]) for key in keys}


def _rounded(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def written(figures: Document) -> str:
    """The figures as JSON, one row a line."""
    parts = []
    for place, rows in figures.items():
        lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
        parts.append(f"{json.dumps(place)}: [\n{lines}\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", nargs="+", type=Path, default=[], metavar="FILE", dest="files")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--min-time", type=float, default=1, help="seconds for each kernel at least")
    parser.add_argument("--no-plots", action="store_true", help="tables only")
    options = parser.parse_args()
    figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in options.files]
    if options.measure:
        documents += measured(options.min_time)
    if documents:
        figures = merged(figures, documents)
        FIGURES.write_text(written(figures), encoding="utf-8")
    print("\n\n".join(f"{title}\n\n{table}" for title, table in tables(figures).items()))
    if not options.no_plots:
        from tools.winograd_plots import draw

        draw(figures, PLOTS)


if __name__ == "__main__":
    main()
