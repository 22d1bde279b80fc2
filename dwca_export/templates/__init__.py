"""Programs that are written into a bundle and load the network in it."""

from __future__ import annotations

import json
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dwca_export.artifacts import TensorSpec

_ANY_SIZE = "The network takes every height and width: write here those of your images."
_STEPS = "The network takes heights and widths in steps of {step} from these: write here those of your images."
_ONE_SIZE = "The network is for these sizes only: at others it would compute something else."


def write_programs(
    folder: Path,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    any_size: bool,
    tolerance: float,
    size_step: int = 1,
) -> None:
    """Write `infer.py`, `main.cpp` and `CMakeLists.txt`.

    Args:
        folder: The bundle.
        inputs: What the network takes.
        outputs: What it returns.
        any_size: Whether it takes every height and width.
        tolerance: Largest error over the largest value of an output that `infer.py` lets pass.
        size_step: With `any_size`: by multiples of this, heights and widths may differ from those in `inputs`.
    """
    values = {
        "inputs": _python(inputs),
        "outputs": _python(outputs),
        "any_size": str(any_size),
        "tolerance": repr(tolerance),
        "size_step": str(size_step),
        "cpp_sizes": (_ANY_SIZE if size_step == 1 else _STEPS.format(step=size_step)) if any_size else _ONE_SIZE,
        "cpp_inputs": _cpp(inputs),
        "cpp_outputs": ", ".join(json.dumps(spec.name, ensure_ascii=False) for spec in outputs),
    }
    for name in ("infer.py", "main.cpp", "CMakeLists.txt"):
        text = (files(__name__) / f"{name}.in").read_text(encoding="utf-8")
        (folder / name).write_text(Template(text).substitute(values), encoding="utf-8")


def _python(specs: Sequence[TensorSpec]) -> str:
    entries = (f"    {json.dumps(spec.name, ensure_ascii=False)}: {spec.shape!r},\n" for spec in specs)
    return "{\n" + "".join(entries) + "}"


def _cpp(specs: Sequence[TensorSpec]) -> str:
    """Rows of `{"name", dims, w, h, d, c}`."""
    rows = []
    for spec in specs:
        sizes = list(reversed(spec.shape[1:]))
        # ncnn's order of sizes by rank: w; w h; w h c; w h d c.
        w, h = (*sizes, 1)[:2]
        c = sizes[-1] if len(sizes) > 2 else 1  # noqa: PLR2004  w and h come before c
        d = sizes[2] if len(sizes) > 3 else 1  # noqa: PLR2004  and d too
        rows.append(f"{{{json.dumps(spec.name, ensure_ascii=False)}, {len(sizes)}, {w}, {h}, {d}, {c}}}")
    return ", ".join(rows)
