"""Says in words what the numbers come to. The words follow from the numbers alone: gain, loss, or not decided."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Document = Mapping[str, Any]

Outcome = Literal["gain", "loss", "undecided", "unmeasured"]
LEVEL = 0.05
FITTED = 0.6
"""Training accuracy from which on networks are taken to fit their data at all."""

FEW_EPOCHS = 5
"""Up to so many passes over its images no network here is trained to the end, whatever its accuracy."""

LOOKALIKES = "accuracy of look-alikes"
WORDS = {"gain": "better", "loss": "worse", "undecided": "not decided", "unmeasured": "not measured"}
NAMES = {
    "baseline": "the 3x3 baseline",
    "plain5x5": "5x5 without attention",
    "attention3x3": "3x3 with attention",
    "dwca_batchnorm": "DWCA with BatchNorm",
    "se5x5": "5x5 with squeeze-and-excitation",
    "dwca_no_residual": "DWCA without residual",
    "baseline_same_macs": "the baseline of equal multiply-adds",
    "baseline_same_latency": "the baseline of equal latency",
    "dwca_batch2": "DWCA at batch 2",
    "dwca_batchnorm_batch2": "DWCA with BatchNorm at batch 2",
}
PARTS = ("plain5x5", "attention3x3", "dwca_batchnorm", "se5x5", "dwca_no_residual")


def outcome(comparison: Document | None) -> Outcome:
    """Judge one comparison.

    It is decided where all of these say so: the interval over seeds lies on one side of 0, the corrected p-value is
    below 0.05, and the interval over vendors, where there is one, lies on the same side.

    Args:
        comparison: Of the document; None where it was not made.
    """
    if comparison is None:
        return "unmeasured"
    if _doubts(comparison):
        return "undecided"
    return "gain" if comparison["difference"]["mean"] > 0 else "loss"


def why_undecided(comparison: Document) -> str:
    """What keeps a comparison from being decided; empty where nothing does."""
    return "; ".join(_doubts(comparison))


def find(document: Document, task: str, measure: str, against: str, variant: str = "dwca") -> Document | None:
    """Look a comparison up; None where it was not made."""
    key = (measure, variant, against)
    for one in document.get(task, {}).get("comparisons", ()):
        if (one["measure"], one["variant"], one["against"]) == key:
            found: Document = one
            return found
    return None


def verdict(document: Document) -> str:
    """The paragraphs on what the article's claim comes to, as Markdown."""
    return "\n\n".join(
        [
            *budget(document),
            claim(*(outcome(find(document, "objects", LOOKALIKES, name)) for name in _CLAIM)),
            *_equal_latency(document),
            _sentence("Thin look-alikes", document, "objects", LOOKALIKES, _CLAIM),
            _sentence("All eleven classes", document, "objects", "accuracy", _CLAIM),
            _parts(document),
            _drift(document),
            _sentence("Detection, mAP@0.5", document, "scenes", "map50", ("baseline",)),
            _sentence("Fashion-MNIST", document, "fashion", "accuracy", ("baseline",)),
        ]
    )


# A network below this many times the accuracy of chance has not learned enough for a lead to mean anything.
TIMES_CHANCE = 2
_SMALL_BATCH = ("dwca_batch2", "dwca_batchnorm_batch2")
_CLAIM = ("baseline", "baseline_same_macs", "baseline_same_latency")


def claim(same_width: Outcome, same_macs: Outcome, same_latency: Outcome) -> str:
    """What the claim comes to: that the block tells thin look-alikes apart better than the 3x3 baseline.

    Args:
        same_width: DWCA against the baseline, all else equal.
        same_macs: Against the baseline of equal multiply-adds.
        same_latency: Against the baseline of equal latency.
    """
    first = {
        "gain": "**With all else equal the claim holds here**: DWCA tells thin look-alikes apart better than the "
        "baseline.",
        "loss": "**With all else equal the claim is refuted here**: DWCA tells thin look-alikes apart worse than the "
        "baseline.",
        "undecided": "**With all else equal the claim is neither confirmed nor refuted here**: no difference between "
        "DWCA and the baseline can be told on thin look-alikes.",
        "unmeasured": "**The claim was not tested**: the runs of DWCA or of the baseline are missing.",
    }[same_width]
    return f"{first} {_at_equal('multiply-adds', same_macs)} {_at_equal('latency', same_latency)}"


def _at_equal(cost: str, at: Outcome) -> str:
    return {
        "gain": f"DWCA is better than a wider baseline of equal {cost}.",
        "loss": f"A wider baseline of equal {cost} is better than DWCA.",
        "undecided": f"Against a wider baseline of equal {cost} nothing is decided.",
        "unmeasured": f"Against a wider baseline of equal {cost} it was not measured.",
    }[at]


def budget(document: Document) -> list[str]:
    """Say so where the networks were not trained to the end: it limits all that follows."""
    found = []
    variants = document.get("objects", {}).get("variants", {})
    fitted = _train_accuracies(variants)
    if fitted and max(fitted) < FITTED:
        found.append(
            f"the classifiers of the thin objects recognise {_percents(fitted)} of their own training images, "
            "as augmented"
        )
    variants = document.get("fashion", {}).get("variants", {})
    fitted, epochs = _train_accuracies(variants), _epochs(variants)
    if (fitted and max(fitted) < FITTED) or (epochs and max(epochs) <= FEW_EPOCHS):
        rate = f", and recognise {_percents(fitted)} of their training images" if fitted else ""
        found.append(f"those of Fashion-MNIST saw every training image {max(epochs)} times{rate}")
    if not found:
        return []
    return [
        f"**At this training budget no network has converged**: {'; '.join(found)}. What is compared is how far the "
        "same short training takes each of them, not what they can reach."
    ]


def _train_accuracies(variants: Document) -> list[float]:
    return [value for one in variants.values() for value in one.get("train_accuracy", ()) if value is not None]


def _epochs(variants: Document) -> list[int]:
    return [one["epochs"] for one in variants.values() if one.get("epochs") is not None]


def _percents(shares: Sequence[float]) -> str:
    return f"{100 * min(shares):.0f} to {100 * max(shares):.0f} %"


def _equal_latency(document: Document) -> list[str]:
    """What the baseline of equal latency has more of than DWCA; nothing where it was not costed."""
    rows = {row["variant"]: row for row in document.get("cost", {}).get("rows", ()) if row["task"] == "objects"}
    wider, dwca = rows.get("baseline_same_latency"), rows.get("dwca")
    if wider is None or dwca is None:
        return []
    times = wider["parameters"] / dwca["parameters"]
    apart = _apart(wider["latency"], dwca["latency"])
    note = " Its latency is **not equal on this machine**: the two intervals do not overlap." if apart else ""
    return [f"The baseline of equal latency has {times:.1f} times the parameters of DWCA.{note}"]


def _apart(one: Document, other: Document) -> bool:
    if None in (one["low"], one["high"], other["low"], other["high"]):
        return False
    return bool(one["low"] > other["high"] or other["low"] > one["high"])


def _sentence(title: str, document: Document, task: str, measure: str, others: Sequence[str]) -> str:
    said = [f"{NAMES[name]}: {_judged(find(document, task, measure, name))}" for name in others]
    return f"**{title}**, DWCA against {'; against '.join(said)}."


def _parts(document: Document) -> str:
    found = {name: outcome(find(document, "objects", "accuracy", name)) for name in PARTS}
    said = [
        f"{words}: {', '.join(NAMES[name] for name, one in found.items() if one == kind)}"
        for kind, words in (
            ("gain", "DWCA is better than"),
            ("loss", "DWCA is worse than"),
            ("undecided", "not decided"),
            ("unmeasured", "not measured"),
        )
        if kind in found.values()
    ]
    return f"**Which part it is**, all eleven classes. {_upper('; '.join(said))}."


def _drift(document: Document) -> str:
    one = find(document, "objects", "accuracy", "dwca_batchnorm_batch2", "dwca_batch2")
    at_64 = find(document, "objects", "accuracy", "dwca_batchnorm")
    gaps = document.get("objects", {}).get("drift")
    said = (
        _hardly_learned(document)
        or {
            "gain": "GroupNorm's lead is larger at batch 2, as the claim says",
            "loss": "GroupNorm's lead is smaller at batch 2, against the claim",
            "undecided": "whether the lead depends on the batch is not decided",
            "unmeasured": "whether the lead depends on the batch was not measured",
        }[outcome(gaps)]
    )
    return (
        "**GroupNorm against BatchNorm in the attention** (the claim that BatchNorm's statistics drift at small "
        f"batches): {said}. The lead at batch 2 less that at the batch of all other runs: {_judged(gaps)}. The lead at "
        f"batch 2: {_gap(one)}; at the other batch: {_gap(at_64)}. The two batches were trained for different numbers "
        "of epochs, which the difference of the leads cannot be told apart from."
    )


def _hardly_learned(document: Document) -> str:
    """Why the lead at batch 2 says nothing, where the networks of that batch are hardly better than chance."""
    task = document.get("objects", {})
    found = [task["variants"][name]["accuracy"] for name in _SMALL_BATCH if name in task.get("variants", {})]
    if not found or max(fmean(one) for one in found) >= TIMES_CHANCE / len(task["classes"]):
        return ""
    best = max(fmean(one) for one in found)
    return (
        f"not answered, as at batch 2 neither has learned enough to tell: {100 * best:.0f} % at best, where chance "
        f"is {100 / len(task['classes']):.0f} %"
    )


def _gap(comparison: Document | None) -> str:
    return WORDS["unmeasured"] if comparison is None else points(comparison)


def _judged(comparison: Document | None) -> str:
    judged = outcome(comparison)
    if comparison is None:
        return WORDS[judged]
    doubts = f" ({why_undecided(comparison)})" if judged == "undecided" else ""
    return f"{points(comparison)}: {WORDS[judged]}{doubts}"


def points(comparison: Document) -> str:
    """The difference in percentage points, with its interval over seeds."""
    difference = comparison["difference"]
    text = f"{100 * difference['mean']:+.1f} points"
    if difference["low"] is None:
        return f"{text} ({difference['why']})"
    return f"{text} ({100 * difference['low']:+.1f} to {100 * difference['high']:+.1f})"


def _doubts(comparison: Document) -> list[str]:
    difference, vendors, p = comparison["difference"], comparison["vendors"], comparison["p_holm"]
    if difference["low"] is None or p is None:
        return [difference["why"]]
    sign = (difference["low"] > 0) - (difference["high"] < 0)
    doubts = [] if sign else ["the interval over seeds holds 0"]
    if p >= LEVEL and sign:
        doubts.append(f"p is {p:.2f} after correction")
    if vendors is not None and (vendors[0] > 0) - (vendors[1] < 0) != (sign or 1 - 2 * (difference["mean"] < 0)):
        doubts.append("the interval over vendors holds 0")
    return doubts


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
