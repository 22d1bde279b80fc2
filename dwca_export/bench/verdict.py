"""What the rows of a measurement say, in words: whether ncnn uses Winograd, whether it would pay, and what is best."""

from __future__ import annotations

from itertools import groupby
from math import inf
from typing import TYPE_CHECKING, Any

from dwca_export.bench.block_pieces import BASELINE, FULL
from dwca_export.bench.entrants import AUTO, STOCK, WITHOUT_WINOGRAD
from dwca_export.bench.statistics import Ratio, paired_ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Row = dict[str, Any]

_WINOGRAD = "winograd"
_DIRECT = "direct"


def verdict(rows: Sequence[Row]) -> tuple[str, ...]:
    """Judge the rows of all layers.

    Args:
        rows: As `bench.kernels` makes them; those of one layer follow each other.

    Returns:
        Sentences, each naming its layer.
    """
    sentences: list[str] = []
    for layer, group in groupby(rows, key=lambda row: row["layer"]):
        found = {row["name"]: row for row in group}
        spoken = (
            *_on_winograd_in_ncnn(found),
            *_on_winograd_of_ours(found),
            *_on_the_best(found),
            *_on_the_block(found),
        )
        sentences += [f"{layer}: {sentence}" for sentence in spoken]
    return tuple(sentences)


def best(rows: Iterable[Row]) -> Row | None:
    """The fastest of the kernels whose errors are within their bounds, None if there is none.

    Args:
        rows: Of one layer.
    """
    candidates = [row for row in rows if _is_timed(row) and row.get("is_right") and not _is_variant(row)]
    return min(candidates, key=lambda row: float(row["p50_us"]), default=None)


def _is_timed(row: Row | None) -> bool:
    return row is not None and bool(row.get("samples_us"))


def _is_variant(row: Row) -> bool:
    """Whether the row shows another side of a kernel that has a row already."""
    return row["name"] in {AUTO, WITHOUT_WINOGRAD} or row.get("kind") == "block"


def _on_winograd_in_ncnn(rows: dict[str, Row]) -> Iterator[str]:
    without = rows.get(WITHOUT_WINOGRAD)
    if without is None:
        return
    if "winograd_changes_bits" not in without:
        yield f"whether ncnn uses Winograd is not known: {without.get('unavailable') or 'it was not measured'}."
        return
    if not rows[STOCK].get("is_right"):
        yield f"ncnn computes something wrong here ({_error(rows[STOCK])}): nothing can be said about Winograd in it."
        return
    if not without["winograd_changes_bits_of_dense"]:
        yield "whether ncnn uses Winograd is not known: its switch changes nothing, not even in a dense convolution."
        return
    yield f"ncnn {_use(without['winograd_changes_bits'])}{_same_time(without)}."


def _use(changes: bool | None) -> str:
    if changes is None:
        return "computes something else each time, so that nothing can be said about Winograd in it"
    if changes:
        return "does use Winograd: switched off, its output changes"
    return (
        "does not use Winograd: switched off, its output stays the same to the last bit, while that of a dense 3x3 "
        "convolution changes"
    )


def _same_time(without: Row) -> str:
    if not _is_timed(without) or without["winograd_changes_bits"] is not False or not without.get("ratio"):
        return ""
    ratio = Ratio(without["ratio"], without["ratio_low"] or 0.0, without["ratio_high"] or inf)
    return f"; the same kernel measured again, it takes {_times(ratio)} as long"


def _on_winograd_of_ours(rows: dict[str, Row]) -> Iterator[str]:
    algorithms = [row for name, row in rows.items() if name.startswith(_WINOGRAD)]
    winograd = best(algorithms)
    if winograd is None:
        if algorithms:
            yield f"no Winograd kernel can be judged: {_why_not(algorithms)}."
        elif _is_timed(rows.get(_DIRECT)):
            yield "no Winograd kernel was measured; there are some for 3x3 and 5x5 at stride 1."
        return
    others = {"the direct kernel": rows.get(_DIRECT), "ncnn": rows.get(STOCK)}
    known = {name: _compare(winograd, row) for name, row in others.items() if row and _is_timed(row)}
    if known:
        parts = [f"{_times(ratio)} as long as {name}" for name, ratio in known.items()]
        yield f"Winograd {_would_pay(known)}: at its best, {winograd['name']}, it takes {' and '.join(parts)}."


def _would_pay(known: dict[str, Ratio]) -> str:
    if all(ratio.high < 1 for ratio in known.values()):
        return "would be faster here"
    if any(ratio.low > 1 for ratio in known.values()):
        return "would not be the fastest here"
    return "makes no difference that is certain here"


def _on_the_best(rows: dict[str, Row]) -> Iterator[str]:
    winner = best(rows.values())
    if winner is None:
        yield "no kernel computes this layer within its error bound and was timed, so none is best."
    else:
        stock = rows.get(STOCK)
        compared = ""
        if winner is not stock and stock and _is_timed(stock):
            compared = f", {_as_fast(_compare(winner, stock))} ncnn"
        yield f"the best kernel is {winner['name']}: {winner['p50_us']:.4g} us{compared}; {_error(winner)}."
    for row in rows.values():
        if row.get("is_right") is False and not _is_variant(row):
            yield f"{row['name']} is wrong and does not count, however fast: {_error(row)}."


def _on_the_block(rows: dict[str, Row]) -> Iterator[str]:
    baseline, full = rows.get(BASELINE), rows.get(FULL)
    if baseline is None and full is None:
        return
    if not baseline or not full or not _is_timed(baseline) or not _is_timed(full):
        reasons = [row["unavailable"] for row in (baseline, full) if row and row.get("unavailable")]
        reason = reasons[0] if reasons else "it was not measured"
        yield f"what the DWCA block costs is not known: {reason}."
        return
    yield (
        f"in ncnn a block with 5x5 and attention takes {_times(_compare(full, baseline))} as long as its 3x3 baseline: "
        f"{full['p50_us']:.4g} us against {baseline['p50_us']:.4g} us."
    )


def _compare(row: Row, base: Row) -> Ratio:
    return paired_ratio(row["samples_us"], base["samples_us"])


def _as_fast(ratio: Ratio) -> str:
    speed = Ratio(1 / ratio.value, 1 / ratio.high, 1 / ratio.low if ratio.low else inf)
    return f"{_times(speed)} as fast as" if speed.differs else f"not for certain faster ({_times(speed)}) than"


def _times(ratio: Ratio) -> str:
    if not ratio.low or ratio.high == inf:
        return f"{ratio.value:.2f} times (too few rounds to say how certain that is)"
    return f"{ratio.value:.2f} times ({ratio.low:.2f} to {ratio.high:.2f})"


def _error(row: Row) -> str:
    epsilons = row.get("error_epsilons")
    if epsilons is None:
        return "its output is not finite"
    return f"its error is {epsilons:.3g} epsilons, of {row['error_bound_epsilons']:.3g} that it may be"


def _why_not(rows: Sequence[Row]) -> str:
    reasons = [row.get("unavailable") or _error(row) for row in rows]
    return "; ".join(dict.fromkeys(reasons))
