"""Regions to figures: instructions of one layer, per output and per output of four channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from tools.instruction_count.regions import Block, Record, Region

# Rarer ones are not worth a place: less than one in a hundred instructions.
_RARE = 0.01


def difference(case: Mapping[str, Any], record: Record) -> Region:
    """What `case["layers"]` layers execute."""
    less, more = (record.least(tag) for tag in case["tags"])
    return more.minus(less)


def row(case: Mapping[str, Any], record: Record, cpu: str, top: int = 0, blocks: int = 0) -> dict[str, Any]:
    """A row of the result.

    Args:
        case: What guest.py says of two regions.
        record: What the plugin says.
        cpu: As `--cpu` names it.
        top: So many mnemonics at most in "mix", per output of four channels.
        blocks: So many stretches of code in "blocks".

    Returns:
        A row of `--json`; "unavailable" in place of figures where there is no such kernel.
    """
    kept = ("name", "layer", "storage", "arithmetic", "elempack", "isa", "unavailable")
    found: dict[str, Any] = {key: case[key] for key in kept if key in case} | {"cpu": f"cortex-{cpu}"}
    if "unavailable" in case:
        return found
    region = difference(case, record)
    instructions = region.instructions / case["layers"]
    found["instructions"] = round(instructions)
    found["per_output"] = round(instructions / case["outputs"], 4)
    found["per_4_outputs"] = round(4 * instructions / case["outputs"], 3)
    if top:
        found["mix"] = _shares(record.mix(region), 4 / case["outputs"] / case["layers"], top)
    if blocks:
        found["blocks"] = [_stretch(*one, case, record) for one in record.hottest(region, blocks)]
    return found


def _shares(mix: Counter[str], scale: float, top: int) -> dict[str, float]:
    least = _RARE * mix.total()
    return {name: round(count * scale, 3) for name, count in mix.most_common(top) if count >= least}


def _stretch(block: Block, times: int, case: Mapping[str, Any], record: Record) -> dict[str, Any]:
    return {"executions": round(times / case["layers"], 1), "code": list(record.instructions(block))}
