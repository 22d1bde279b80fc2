"""Publishes the comparison of finished runs: `python -m models.experiment.report RUNS`, from the repository's root.

Writes docs/comparison.json, the generated parts of docs/pages/comparison.md, and its plots. Runs that are not finished
are named, and nothing is written, unless `--partial` says that this is known: the page then says it too.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwca_export.errors import InputRefusedError, UsageError
from models.command import framed
from models.data import thin_objects
from models.experiment import after_export, cost, document, receptive_field, results, what
from models.experiment.json_file import write_json
from models.experiment.one_run import WEIGHTS
from models.experiment.page import filled
from models.experiment.run import parse_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    Document = dict[str, Any]

DOCS = Path(__file__).resolve().parents[2] / "docs"
FIGURES, PAGE, PLOTS = "comparison.json", "pages/comparison.md", "pages/comparison"
PARTS = {"cost": cost.FILE, "receptive_field": receptive_field.FILE, "after_export": after_export.FILE}
"""What is measured beside the runs, by the module that measures it, and the file in the runs' folder."""

SCHEMA = 1


def gather(runs: Path, data: Path | None, seeds: Sequence[int]) -> Document:
    """Put everything that is finished into one document.

    Args:
        runs: Folder of all runs.
        data: Folder of the thin objects; None: its default place.
        seeds: Those that belong to the comparison.

    Returns:
        What goes into docs/comparison.json; `missing` names what is not there.

    Raises:
        InputRefusedError: Something that is there is damaged, or does not belong together.
    """
    gathered: Document = {"schema": SCHEMA, "missing": []}
    for task in what.TASKS:
        found, missing = results.read(runs, what.runs_of(task, [], seeds))
        gathered["missing"] += _named(missing)
        if found:
            gathered[task] = _task(task, found, data)
    for part, file in PARTS.items():
        if (runs / file).exists():
            gathered[part] = _part(runs / file)
        else:
            gathered["missing"].append(f"`python -m models.experiment.{part}`")
    _require_same_networks(gathered)
    gathered["missing"] += _outdated(gathered, runs)
    return gathered


def publish(gathered: Document, docs: Path, *, plots: bool = True) -> list[Path]:
    """Write figures, page and plots.

    Args:
        gathered: What `gather` returned.
        docs: Folder that they are written to; a page that it lacks is begun with the one of the repository.
        plots: Whether to draw; needs matplotlib.

    Returns:
        The files.

    Raises:
        InputRefusedError: The page has no place for a table.
        UsageError: They cannot be written, or matplotlib is not installed.
    """
    page = docs / PAGE
    template = page if page.exists() else DOCS / PAGE
    text = filled(template.read_text(encoding="utf-8"), gathered)
    drawn = _draw(gathered, docs / PLOTS) if plots else []
    write_json(gathered, docs / FIGURES)
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror})", where=str(page), hint="--out names another"
        ) from error
    return [docs / FIGURES, page, *drawn]


@framed
def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: By default those of the process.

    Returns:
        Exit code: 0, 130 after an interruption, else that of the error.
    """
    options = _parser().parse_args(arguments)
    gathered = gather(options.runs, options.data, options.seeds)
    _require_whole(gathered, partial=options.partial)
    _require_real(gathered, options.out)
    files = publish(gathered, options.out, plots=not options.no_plots)
    print("\n".join(map(str, files)))
    return 0


def _task(task: str, found: list[results.Finished], data: Path | None) -> Document:
    if task == "fashion":
        images = len(found[0].predictions.get("labels", ()))
        return document.classification(task, found, document.fashion_truth(images))
    trained_on, here = found[0].result["dataset"]["sha256"], thin_objects.dataset_sha256(data)
    if trained_on != here:
        what_ = f"the {task} were trained on the data {trained_on[:12]}, the folder holds {here[:12]}"
        raise InputRefusedError(what_, hint="--data names the folder of the data that the runs were trained on")
    if task == "objects":
        test = thin_objects.load_objects(data, "test")
        return document.classification(task, found, document.objects_truth(test, thin_objects.describe(data)))
    return document.scenes(found, thin_objects.load_scenes(data, "test"))


def _part(file: Path) -> Document:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputRefusedError(f"it cannot be read ({error})", where=str(file), hint="measure it again") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise InputRefusedError(f"it is not of schema {SCHEMA}", where=str(file), hint="measure it again")
    return content


def _named(missing: Sequence[what.Run]) -> list[str]:
    """One entry per variant, with its seeds."""
    seeds: dict[str, list[int]] = {}
    for run in missing:
        seeds.setdefault(f"{run.task}/{run.variant}", []).append(run.seed)
    return [f"{name} seed {', '.join(map(str, numbers))}" for name, numbers in seeds.items()]


def _outdated(gathered: Document, runs: Path) -> list[str]:
    """What was measured of networks that have been trained again since, or not of all that there are."""
    outdated = []
    for name, one in gathered.get("receptive_field", {}).get("variants", {}).items():
        trained = gathered.get("objects", {}).get("variants", {}).get(name, {}).get("seeds")
        if one["seeds"] != trained:
            outdated.append(f"`python -m models.experiment.receptive_field` of {name}: all seeds")
    for task in ("objects", "scenes") if "after_export" in gathered else ():
        for name in after_export.VARIANTS:
            weights = what.Run(task, name, after_export.SEED).folder(runs) / WEIGHTS
            measured = gathered["after_export"][task].get(name, {}).get("weights_sha256")
            if weights.exists() and measured != thin_objects.file_sha256(weights):
                outdated.append(f"`python -m models.experiment.after_export` of {task}/{name}")
    return outdated


def _require_same_networks(gathered: Document) -> None:
    """Hold what was costed to what was trained."""
    for row in gathered.get("cost", {}).get("rows", ()):
        trained = gathered.get(row["task"], {}).get("variants", {}).get(row["variant"])
        if trained and trained["parameters"] != row["parameters"]:
            name = f"{row['task']}/{row['variant']}"
            what_ = f"{name} has {trained['parameters']} parameters, costed were {row['parameters']}"
            raise InputRefusedError(what_, where=cost.FILE, hint="`python -m models.experiment.cost` measures it again")


def _require_whole(gathered: Document, *, partial: bool) -> None:
    if gathered["missing"] and not partial:
        listed = "".join(f"\n  {one}" for one in gathered["missing"])
        raise UsageError(
            f"the comparison is not complete; missing:{listed}",
            where="report",
            hint="finish them (tools/comparison goes on where it was stopped), or --partial, which marks the page",
        )
    if not any(task in gathered for task in what.TASKS):
        raise UsageError("there is no finished run at all", where="report", hint="tools/comparison trains them")


def _require_real(gathered: Document, out: Path) -> None:
    shown = [task for task in ("objects", "scenes") if task in gathered]
    made_up = any(gathered[task]["dataset"]["name"] != "thin-objects" for task in shown)
    if made_up and out.resolve() == DOCS:
        raise UsageError("generated shapes are no data to publish", where="report", hint="--out names another folder")


def _draw(gathered: Document, folder: Path) -> list[Path]:
    try:
        from models.experiment.plots import draw
    except ImportError as error:
        hint = "pip install '.[docs]', or leave them out with --no-plots"
        raise UsageError("plots need matplotlib", where="report", hint=hint) from error
    return [folder / name for name in draw(gathered, folder)]


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m models.experiment.report", description=__doc__, formatter_class=formatter
    )
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs"), help="folder of all runs (%(default)s)")
    parser.add_argument("--data", type=Path, help="folder of the thin objects; by default where they are built")
    parser.add_argument("--seeds", type=parse_seeds, default=list(what.SEEDS), help="such as 0-4 (the default)")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder to write to (%(default)s)")
    parser.add_argument("--partial", action="store_true", help="although something is missing")
    parser.add_argument("--no-plots", action="store_true", help="figures and tables only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
