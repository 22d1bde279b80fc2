"""Puts what all runs came to into one JSON document, which tables, plots and verdicts are made from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dwca_export.errors import InputRefusedError
from models.data import curation, fashion, thin_objects
from models.detection import scenes as detection
from models.detection.average_precision import Boxes, average_precisions, mean_average_precision
from models.experiment import measures
from models.experiment.measures import Classified, in_bin, length_name
from models.experiment.results import by_variant, shared_recipe
from models.experiment.statistics import holm, paired_difference, resampled_difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from models.experiment.results import Finished

    Document = dict[str, Any]
    Floats = npt.NDArray[np.float64]

DWCA = "dwca"
CONTROLS = {
    "objects": (
        "baseline",
        "plain5x5",
        "attention3x3",
        "dwca_batchnorm",
        "se5x5",
        "dwca_no_residual",
        "baseline_same_macs",
        "baseline_same_latency",
    ),
    "scenes": ("baseline",),
    "fashion": ("baseline",),
}
"""What DWCA is compared with in each task; the tests of one measure are corrected for each other."""

SMALL_BATCH = ("dwca_batch2", "dwca_batchnorm_batch2")
_SAME = 1e-6


@dataclass(frozen=True)
class Truth:
    """What is known of the test images of a classification task.

    Attributes:
        classes: Names of the classes.
        groups: Classes that are easily taken for each other, by name of the group.
        clusters: int `(N,)`: images of the same number are no independent ones; one vendor drew what they show.
        lengths: `(N,)`, lengths of the objects in pixels; None where they have none.
    """

    classes: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    clusters: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.float32] | None

    def indices(self, group: str) -> list[int]:
        """Labels of a group's classes."""
        return [self.classes.index(name) for name in self.groups[group]]


def objects_truth(test: thin_objects.Objects, description: Document) -> Truth:
    """What is known of the thin objects.

    Args:
        test: The test part.
        description: What `dataset.json` says.
    """
    groups = {"look-alikes": thin_objects.LOOKALIKES}
    return Truth(thin_objects.CLASSES, groups, _vendors(description)[test.icons], test.lengths)


def _vendors(description: Document) -> npt.NDArray[np.int64]:
    """Number the vendor of each drawing; a drawing of which none is credited is one of its own."""
    authors = {credit["prefix"]: credit["author"] for credit in description["credits"] if "prefix" in credit}
    recipe = curation.read()
    names = [authors.get(icon.partition(":")[0], icon) for icon in description["icons"]]
    return np.asarray(np.unique([recipe.group(name) for name in names], return_inverse=True)[1], np.int64)


def fashion_truth(images: int) -> Truth:
    """What is known of Fashion-MNIST: every image shows another article."""
    groups = {
        "tops": ("T-shirt/top", "Pullover", "Coat", "Shirt"),
        "shoes": ("Sandal", "Sneaker", "Ankle boot"),
    }
    return Truth(fashion.LABELS, groups, np.arange(images), None)


def classification(task: str, found: Sequence[Finished], truth: Truth) -> Document:
    """Describe a classification task.

    Args:
        task: Its name.
        found: Its finished runs, at least one.
        truth: What is known of the test part.

    Returns:
        Everything that came out, per variant and seed, and the comparisons.

    Raises:
        InputRefusedError: A run's predictions are not of this test part, or not those that its result is of.
    """
    runs = by_variant(found)
    answers = {
        variant: {seed: _answers(one, truth) for seed, one in sorted(seeds.items())} for variant, seeds in runs.items()
    }
    labels = next(iter(next(iter(answers.values())).values())).labels
    if any(not np.array_equal(one.labels, labels) for seeds in answers.values() for one in seeds.values()):
        raise InputRefusedError("the runs were tested on different images", where=task, hint="train them again")
    variants = {name: _described(runs[name], _classified(seeds, truth)) for name, seeds in answers.items()}
    return {
        **_common(found, truth.classes, len(labels)),
        "vendors": len(np.unique(truth.clusters)),
        "groups": {name: list(members) for name, members in truth.groups.items()},
        "images_by_length": _images_by_length(truth),
        "variants": variants,
        "comparisons": _comparisons(task, variants, answers, truth),
        "drift": drift(variants),
    }


def drift(variants: Mapping[str, Document]) -> Document | None:
    """How much more GroupNorm leads BatchNorm at batch 2 than at the batch of all other runs, seed by seed.

    Args:
        variants: Of the document, with `seeds` and `accuracy`.

    Returns:
        The comparison; None where one of the four is missing, or they have no seed in common.
    """
    names = (*SMALL_BATCH, DWCA, "dwca_batchnorm")
    if not all(name in variants for name in names):
        return None
    by_seed = [dict(zip(variants[name]["seeds"], variants[name]["accuracy"], strict=True)) for name in names]
    seeds = sorted(set.intersection(*(set(one) for one in by_seed)))
    if not seeds:
        return None
    group_2, batch_2, group_64, batch_64 = ([one[s] for s in seeds] for one in by_seed)
    gaps = [[a - b for a, b in zip(*pair, strict=True)] for pair in ((group_2, batch_2), (group_64, batch_64))]
    difference = paired_difference(*gaps)
    return {"measure": "accuracy", "difference": asdict(difference), "vendors": None, "p_holm": difference.p}


def scenes(found: Sequence[Finished], test: thin_objects.Scenes) -> Document:
    """Describe the detection task.

    Args:
        found: Its finished runs, at least one.
        test: The test part.

    Raises:
        InputRefusedError: A run's predictions are not those that its result is of.
    """
    truth, classes = detection.truth(test), thin_objects.CLASSES
    runs = by_variant(found)
    variants = {}
    for name, seeds in runs.items():
        measured = [_detected(one, truth, test.lengths) for _, one in sorted(seeds.items())]
        variants[name] = _described(seeds, _joined(measured))
    return {
        **_common(found, classes, len(test.images)),
        "objects_by_length": {length_name(b): int(in_bin(test.lengths, b).sum()) for b in measures.LENGTHS},
        "variants": variants,
        "comparisons": _family("map50", "scenes", variants, {}),
    }


def _common(found: Sequence[Finished], classes: Sequence[str], images: int) -> Document:
    return {
        "dataset": dict(found[0].result["dataset"]),
        "recipe": max((shared_recipe(one) for one in found), key=_entries),  # that with epochs
        "classes": list(classes),
        "test_images": images,
    }


def _entries(recipe: dict[str, Any]) -> int:
    return len(recipe)


def _described(seeds: Mapping[int, Finished], measured: Document) -> Document:
    first = next(iter(seeds.values())).result
    own = {key: first["recipe"].get(key) for key in ("width", "batch", "lr", "epochs")}
    trained = [one.result["metrics"].get("train_accuracy") for _, one in sorted(seeds.items())]
    return {"seeds": sorted(seeds), "parameters": first["parameters"], **own, "train_accuracy": trained, **measured}


def _answers(one: Finished, truth: Truth) -> Classified:
    logits, labels = (one.predictions.get(name) for name in ("logits", "labels"))
    shape = (len(truth.clusters), len(truth.classes))
    if logits is None or labels is None or logits.shape != shape or labels.shape != shape[:1]:
        raise InputRefusedError(f"its predictions are not of {shape[0]} test images", where=str(one.run), hint=_HINT)
    answers = Classified(logits.argmax(1), labels)
    for index, name in enumerate(truth.classes):
        said, now = one.result["metrics"]["per_class"].get(name), answers.accuracy(labels == index)
        if said is None or now is None or abs(said - now) > _SAME:
            what = f"its result says {said} for {name}, its predictions come to {now}"
            raise InputRefusedError(what, where=str(one.run), hint=_HINT)
    return answers


_HINT = "remove the run's folder and train it again; or --data names the set that it was trained on"


def _classified(seeds: Mapping[int, Classified], truth: Truth) -> Document:
    measured: Document = _joined([_one_classified(one, truth) for one in seeds.values()])
    confusion = sum(one.confusion(len(truth.classes)) for one in seeds.values())
    return {**measured, "confusion": np.asarray(confusion).tolist()}


def _one_classified(one: Classified, truth: Truth) -> Document:
    measured: Document = {"accuracy": one.accuracy()}
    measured["per_class"] = {name: one.accuracy(one.labels == index) for index, name in enumerate(truth.classes)}
    for group in truth.groups:
        indices = truth.indices(group)
        measured[f"accuracy of {group}"] = one.accuracy(np.isin(one.labels, indices))
        measured[f"confused {group}"] = one.confused(indices)
    if truth.lengths is not None:
        bins = {length_name(bin_): in_bin(truth.lengths, bin_) for bin_ in measures.LENGTHS}
        measured["by_length"] = {name: one.accuracy(inside) for name, inside in bins.items()}
    return measured


def _detected(one: Finished, truth: Boxes, lengths: npt.NDArray[np.float32]) -> Document:
    arrays = [one.predictions.get(name) for name in ("boxes", "labels", "scene", "scores")]
    if any(array is None for array in arrays):
        raise InputRefusedError("its predictions lack an array", where=str(one.run), hint=_HINT)
    found, classes = Boxes(*arrays), thin_objects.CLASSES  # type: ignore[arg-type] # none is None
    value, said = mean_average_precision(found, truth, len(classes)), one.result["metrics"]["test_map50"]
    if abs(value - said) > _SAME:
        what = f"its result says mAP {said}, its predictions come to {value}"
        raise InputRefusedError(what, where=str(one.run), hint=_HINT)
    precisions = average_precisions(found, truth, len(classes))
    return {
        "map50": value,
        "per_class": {name: None if np.isnan(p) else float(p) for name, p in zip(classes, precisions, strict=True)},
        "by_length": measures.map_by_length(found, truth, lengths, len(classes)),
    }


def _joined(measured: Sequence[Document]) -> Document:
    """One list per measure, of one entry per seed."""
    first = measured[0]
    return {
        key: _joined([one[key] for one in measured]) if isinstance(first[key], dict) else [one[key] for one in measured]
        for key in first
    }


def _images_by_length(truth: Truth) -> dict[str, int]:
    if truth.lengths is None:
        return {}
    return {length_name(bin_): int(in_bin(truth.lengths, bin_).sum()) for bin_ in measures.LENGTHS}


def _comparisons(
    task: str, variants: Mapping[str, Document], answers: Mapping[str, Mapping[int, Classified]], truth: Truth
) -> list[Document]:
    labels = next(iter(answers[next(iter(answers))].values())).labels
    everywhere = np.ones(len(labels), bool)
    compared = _family("accuracy", task, variants, _drawn(answers, truth, everywhere))
    for group in truth.groups:
        inside = np.isin(labels, truth.indices(group))
        compared += _family(f"accuracy of {group}", task, variants, _drawn(answers, truth, inside))
    if all(name in variants for name in SMALL_BATCH):
        drawn = _drawn(answers, truth, everywhere, SMALL_BATCH[0])
        compared += _corrected([_compared("accuracy", *SMALL_BATCH, variants, drawn)])
    return compared


def _drawn(
    answers: Mapping[str, Mapping[int, Classified]], truth: Truth, chosen: npt.NDArray[np.bool_], one: str = DWCA
) -> dict[str, tuple[float, float] | None]:
    """Interval over vendors of the difference to each variant, of the seeds that both have."""
    intervals = {}
    for other in answers:
        seeds = sorted(answers.get(one, {}).keys() & answers[other].keys())
        if other != one and seeds:
            both = [np.mean([answers[name][s].right[chosen] for s in seeds], axis=0) for name in (one, other)]
            intervals[other] = resampled_difference(both[0] - both[1], truth.clusters[chosen])
    return intervals


def _family(
    measure: str, task: str, variants: Mapping[str, Document], drawn: Mapping[str, tuple[float, float] | None]
) -> list[Document]:
    """Compare DWCA with each control by one measure, corrected for how many they are."""
    others = [name for name in CONTROLS[task] if name in variants] if DWCA in variants else []
    return _corrected([_compared(measure, DWCA, other, variants, drawn) for other in others])


def _compared(
    measure: str,
    one: str,
    other: str,
    variants: Mapping[str, Document],
    drawn: Mapping[str, tuple[float, float] | None],
) -> Document:
    by_seed = [dict(zip(variants[name]["seeds"], variants[name][measure], strict=True)) for name in (one, other)]
    seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
    if not seeds:
        raise InputRefusedError(f"{one} and {other} have no seed in common", hint="train both with the same seeds")
    difference = paired_difference([by_seed[0][s] for s in seeds], [by_seed[1][s] for s in seeds])
    interval = drawn.get(other)
    return {
        "measure": measure,
        "variant": one,
        "against": other,
        "difference": asdict(difference),
        "vendors": list(interval) if interval else None,
    }


def _corrected(compared: list[Document]) -> list[Document]:
    p_values = {one["against"]: one["difference"]["p"] for one in compared}
    adjusted = holm({name: p for name, p in p_values.items() if p is not None})
    return [{**one, "p_holm": adjusted.get(one["against"])} for one in compared]
