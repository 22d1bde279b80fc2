"""The tables of docs/pages/comparison.md, of the figures in docs/comparison.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.experiment.statistics import ONE_SEED, mean_interval
from models.experiment.verdict import LOOKALIKES, NAMES, WORDS, find, outcome, points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Document = Mapping[str, Any]

TITLES = {**NAMES, "dwca": "DWCA"} | {"baseline": "baseline 3x3", "dwca_batchnorm": "DWCA, BatchNorm"}
TITLES |= {"se5x5": "5x5 with SE", "dwca_no_residual": "DWCA, no residual"}
TITLES |= {"baseline_same_macs": "baseline, equal multiply-adds", "baseline_same_latency": "baseline, equal latency"}
TITLES |= {"dwca_batch2": "DWCA, batch 2", "dwca_batchnorm_batch2": "DWCA, BatchNorm, batch 2"}
SHORT = ("baseline", "dwca", "baseline_same_macs", "baseline_same_latency")
"""The variants that are shown where there is no room for all."""

_GROUPS = {"objects": ("look-alikes",), "fashion": ("tops", "shoes")}


def tables(document: Document) -> dict[str, str]:
    """All tables by name, of what the document has."""
    found: dict[str, str] = {}
    for task, make in _MAKERS:
        if task in document:
            found |= make(document)
    return found


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table."""
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def percent(value: float | None) -> str:
    """A share in per cent."""
    return "" if value is None else f"{100 * value:.1f}"


def with_interval(values: Sequence[float | None]) -> str:
    """Mean over seeds in per cent, with its 95 % interval."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    estimate = mean_interval(known)
    if estimate.low is None or estimate.high is None:
        return f"{percent(estimate.mean)} ({estimate.why})"
    return f"{percent(estimate.mean)} ({percent(estimate.low)} to {percent(estimate.high)})"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _objects(document: Document) -> dict[str, str]:
    task = document["objects"]
    return {
        "objects": _overall(task),
        "objects-differences": _differences(document),
        "objects-per-class": _per_class(task, list(task["variants"])),
        **{
            f"confusion-{name}": _confusion(task, name, "look-alikes")
            for name in ("baseline", "dwca")
            if name in task["variants"]
        },
        "objects-by-length": _by_length(task, task["images_by_length"], "images"),
        "batch-2": _small_batch(document),
    }


def _overall(task: Document) -> str:
    heads = (
        "Variant",
        "seeds",
        "all classes, %",
        "look-alikes, %",
        "taken for another look-alike, %",
        "of the training part, %",
    )
    lines = [
        (
            TITLES[name],
            str(len(one["seeds"])),
            with_interval(one["accuracy"]),
            with_interval(one[LOOKALIKES]),
            with_interval(one["confused look-alikes"]),
            percent(_mean(one["train_accuracy"])),
        )
        for name, one in task["variants"].items()
    ]
    return markdown(heads, lines)


def _differences(document: Document) -> str:
    heads = ("DWCA against", "all classes", "p", "over vendors", "", "look-alikes", "p", "over vendors", "")
    compared = [one for one in document["objects"]["comparisons"] if one["variant"] == "dwca"]
    lines = []
    for name in dict.fromkeys(one["against"] for one in compared):
        cells = [TITLES[name]]
        for measure in ("accuracy", LOOKALIKES):
            cells += _difference_cells(find(document, "objects", measure, name))
        lines.append(cells)
    return markdown(heads, lines)


def _difference_cells(comparison: Document | None) -> list[str]:
    if comparison is None:
        return ["", "", "", WORDS["unmeasured"]]
    vendors = comparison["vendors"]
    interval = f"{100 * vendors[0]:+.1f} to {100 * vendors[1]:+.1f}" if vendors else ""
    return [points(comparison), _p(comparison["p_holm"]), interval, WORDS[outcome(comparison)]]


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"  # noqa: PLR2004 # as many digits as are shown


def _per_class(task: Document, names: Sequence[str]) -> str:
    variants = task["variants"]
    lines = [
        (label, *(percent(_mean(variants[name]["per_class"][label])) for name in names)) for label in task["classes"]
    ]
    return markdown(("Class", *(TITLES[name] for name in names)), lines)


def _confusion(task: Document, variant: str, group: str) -> str:
    members = task["groups"][group]
    indices = [task["classes"].index(name) for name in members]
    counts = task["variants"][variant]["confusion"]
    lines = []
    for index, name in zip(indices, members, strict=True):
        row, total = counts[index], sum(counts[index])
        inside = [row[other] / total for other in indices]
        lines.append((name, *map(percent, inside), percent(1 - sum(inside))))
    return markdown((f"{TITLES[variant]}: true class", *members, "others"), lines)


def _by_length(task: Document, counts: Mapping[str, int], unit: str) -> str:
    names = [name for name in SHORT if name in task["variants"]]
    lines = [
        (length, str(count), *(with_interval(task["variants"][name]["by_length"][length]) for name in names))
        for length, count in counts.items()
    ]
    return markdown(("Length, px", unit, *(TITLES[name] for name in names)), lines)


def _small_batch(document: Document) -> str:
    variants = document["objects"]["variants"]
    lines = []
    for names in (("dwca_batch2", "dwca_batchnorm_batch2"), ("dwca", "dwca_batchnorm")):
        if all(name in variants for name in names):
            comparison = find(document, "objects", "accuracy", names[1], names[0])
            cells = [with_interval(variants[name]["accuracy"]) for name in names]
            size, epochs = (str(variants[names[0]][key]) for key in ("batch", "epochs"))
            lines.append((size, epochs, *cells, points(comparison) if comparison else "", WORDS[outcome(comparison)]))
    return markdown(("Batch", "epochs", "GroupNorm, %", "BatchNorm, %", "difference", ""), lines)


def _scenes(document: Document) -> dict[str, str]:
    task = document["scenes"]
    lines = [
        (
            TITLES[name],
            str(len(one["seeds"])),
            with_interval(one["map50"]),
            *_against(document, "scenes", "map50", name),
        )
        for name, one in task["variants"].items()
    ]
    return {
        "scenes": markdown(("Variant", "seeds", "mAP@0.5, %", "DWCA less this one", "p", ""), lines),
        "scenes-by-length": _by_length(task, task["objects_by_length"], "objects"),
        "scenes-per-class": _per_class(task, list(task["variants"])),
    }


def _against(document: Document, task: str, measure: str, name: str) -> tuple[str, str, str]:
    comparison = find(document, task, measure, name)
    if comparison is None:
        return "", "", ""
    return points(comparison), _p(comparison["p_holm"]), WORDS[outcome(comparison)]


def _fashion(document: Document) -> dict[str, str]:
    task = document["fashion"]
    heads = (
        "Variant",
        "seeds",
        "all classes, %",
        "DWCA less this one",
        "p",
        "",
        "tops confused, %",
        "shoes confused, %",
    )
    lines = [
        (
            TITLES[name],
            str(len(one["seeds"])),
            with_interval(one["accuracy"]),
            *_against(document, "fashion", "accuracy", name),
            with_interval(one["confused tops"]),
            with_interval(one["confused shoes"]),
        )
        for name, one in task["variants"].items()
    ]
    confusions = {
        f"fashion-{group}-{name}": _confusion(task, name, group)
        for group in _GROUPS["fashion"]
        for name in task["variants"]
    }
    return {"fashion": markdown(heads, lines), **confusions}


def _cost(document: Document) -> dict[str, str]:
    heads = (
        "Network",
        "parameters",
        "multiply-adds",
        "ncnn layers",
        "fp32 weights, kB",
        "fp16 weights, kB",
        "latency (baseline = 1)",
        "accuracy, %",
    )
    lines = []
    for row in document["cost"]["rows"]:
        task, name = row["task"], row["variant"]
        one = document.get(task, {}).get("variants", {}).get(name, {})
        lines.append(
            (
                f"{TITLES[name]}, {task}",
                f"{row['parameters']:,}".replace(",", " "),
                f"{row['multiply_adds'] / 1e6:.2f} M",
                str(row["ncnn_layers"]),
                *(f"{row['bin_bytes'][kind] / 1000:.0f}" for kind in ("fp32", "fp16")),
                _ratio(row["latency"]),
                percent(_mean(one.get("accuracy", one.get("map50", [])))),
            )
        )
    return {"cost": markdown(heads, lines)}


def _ratio(latency: Document) -> str:
    if latency["low"] is None:
        return f"{latency['value']:.2f} ({latency['why']})"
    if latency["low"] == latency["high"]:
        return f"{latency['value']:.2f}"
    return f"{latency['value']:.2f} ({latency['low']:.2f} to {latency['high']:.2f})"


def _receptive_field(document: Document) -> dict[str, str]:
    heads = ("Network", "of", "its input", "half of the gradient", "90 % of it", "reach of the convolutions")
    lines = []
    for name, one in document["receptive_field"]["variants"].items():
        kernel = 3 if name == "baseline" else 5
        for part, title, reach in (("stage", "last stage", one["reach"]), ("block", "one block", kernel)):
            field = one[part]
            side = field["side"]
            areas = [_pixels(field[key]) for key in ("area50", "area90")]
            lines.append((TITLES[name], title, f"{side}x{side}", *areas, f"{reach}x{reach}"))
    return {"receptive-field": markdown(heads, lines)}


def _pixels(areas: Sequence[int]) -> str:
    estimate = mean_interval(areas)
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:.0f} px" + (f" ({ONE_SEED})" if estimate.why == ONE_SEED else "")
    return f"{estimate.mean:.0f} px ({estimate.low:.0f} to {estimate.high:.0f})"


def _after_export(document: Document) -> dict[str, str]:
    export = document["after_export"]
    classes = document.get("objects", {}).get("classes")
    found = {}
    if export.get("objects"):
        found["after-export"] = _exported_classifiers(export["objects"])
    if any(way["disagreements"] for one in export.get("objects", {}).values() for way in one["ways"]) and classes:
        found["disagreements"] = _disagreements(export["objects"], classes)
    if export.get("scenes"):
        found["after-export-scenes"] = _exported_detectors(export["scenes"])
    return found


def _exported_classifiers(variants: Document) -> str:
    heads = (
        "Network",
        "weights",
        "mode",
        "accuracy, %",
        "torch, %",
        "answered alike",
        "largest margin of the others",
        "median margin",
    )
    lines = []
    for name, one in variants.items():
        for way in one["ways"]:
            margin = "" if way["largest_margin"] is None else f"{way['largest_margin']:.2g}"
            same = f"{way['agree']} of {one['images']}"
            cells = (f"{100 * way['accuracy']:.2f}", f"{100 * one['torch_accuracy']:.2f}", same, margin)
            lines.append((TITLES[name], way["weights"], _mode(way), *cells, f"{way['median_margin']:.2g}"))
    return markdown(heads, lines)


def _exported_detectors(variants: Document) -> str:
    heads = ("Network", "weights", "mode", "mAP@0.5, %", "torch, %", "largest error of a map")
    lines = [
        (
            TITLES[name],
            way["weights"],
            _mode(way),
            f"{100 * way['map50']:.2f}",
            f"{100 * one['torch_map50']:.2f}",
            f"{way['largest_relative_l2']:.1e}",
        )
        for name, one in variants.items()
        for way in one["ways"]
    ]
    return markdown(heads, lines)


def _disagreements(variants: Document, classes: Sequence[str]) -> str:
    heads = ("Network", "weights", "mode", "test image", "true", "torch", "ncnn", "torch's margin")
    lines = [
        (
            TITLES[name],
            way["weights"],
            way["mode"],
            str(row["image"]),
            *(classes[row[key]] for key in ("label", "torch", "ncnn")),
            f"{row['margin']:.2g}",
        )
        for name, one in variants.items()
        for way in one["ways"]
        if way["same_bits_as"] is None
        for row in way["disagreements"]
    ]
    return markdown(heads, lines)


def _mode(way: Document) -> str:
    twin = way["same_bits_as"]
    return f"{way['mode']} (not on this CPU: the bits of {twin})" if twin else way["mode"]


_MAKERS: tuple[tuple[str, Callable[[Document], dict[str, str]]], ...] = (
    ("objects", _objects),
    ("scenes", _scenes),
    ("fashion", _fashion),
    ("cost", _cost),
    ("receptive_field", _receptive_field),
    ("after_export", _after_export),
)
