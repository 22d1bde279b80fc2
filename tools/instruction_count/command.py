"""The command `tools/icount`: what to count, the count, and its output."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.instruction_count.emulator import CPUS, CountError, Emulator
from tools.instruction_count.regions import Record
from tools.instruction_count.rows import row
from tools.instruction_count.tables import listings, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GUEST = Path(__file__).with_name("guest.py")
SCHEMA = "dwca-icount/1"
SHAPES = ((64, 56, 56), (128, 28, 28), (256, 14, 14))
MODES = ("fp32", "fp16-storage", "fp16-arithmetic", "bf16-storage")
# A layer of more numbers takes minutes under emulation and executes no other instructions.
LARGEST = 2_000_000
LARGEST_KERNEL = 15
LARGEST_STRIDE = 4

EPILOG = (
    "What the help of an option ends with is its default. An option that is given again adds to what it was before."
)


def main(description: str, arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        description: What `--help` says above the options.
        arguments: Without the command's name; those of this process if None.

    Returns:
        Exit code: 0, or 1 when something keeps the instructions from being counted. argparse exits with 2.
    """
    wanted = _parser(description).parse_args(arguments)
    try:
        document = count(wanted)
    except CountError as reason:
        print(f"icount: {reason}", file=sys.stderr)
        return 1
    if wanted.json:
        print(json.dumps(document, indent=1))
    else:
        print(table(document["rows"]))
        print(listings(document["rows"]), end="\n" if wanted.blocks else "")
    return 0


def count(wanted: argparse.Namespace) -> dict[str, Any]:
    """Count what is wanted.

    Returns:
        The document of `--json`.

    Raises:
        CountError: Something is missing, or nothing was counted.
    """
    layers = [
        {"channels": c, "height": h, "width": w, "kernel": k, "stride": s}
        for k in wanted.kernel
        for s in wanted.stride
        for c, h, w in wanted.shape
    ]
    request = {"layers": layers, "modes": wanted.mode, "names": wanted.name}
    emulator = Emulator.make(wanted.wheel)
    document: dict[str, Any] = {"schema": SCHEMA, "emulated": True, "warnings": [], "rows": []}
    for cpu in wanted.cpu:
        text = bool(wanted.top or wanted.blocks)
        cases, missing, record = _run(emulator, cpu, request, text=text)
        _check(cases, missing, request)
        if missing and missing not in document["warnings"]:
            print(f"icount: only ncnn is counted: {missing}", file=sys.stderr)
            document["warnings"].append(missing)
        document["rows"] += [row(case, record, cpu, wanted.top, wanted.blocks) for case in cases]
    return document


def _run(
    emulator: Emulator, cpu: str, request: Mapping[str, Any], *, text: bool
) -> tuple[list[dict[str, Any]], str | None, Record]:
    with tempfile.TemporaryDirectory(prefix="icount-") as folder:
        out = Path(folder) / "cases.json"
        written = emulator.run(cpu, [str(GUEST), json.dumps(request), str(out)], text=text)
        answer = json.loads(out.read_text(encoding="utf-8"))
    return answer["cases"], answer["missing"], Record.parse(written)


def _check(cases: Sequence[Mapping[str, Any]], missing: str | None, request: Mapping[str, Any]) -> None:
    unknown = set(request["names"] or ()) - {case["name"] for case in cases}
    if unknown and missing:
        raise CountError(f"{', '.join(sorted(unknown))} cannot be counted: {missing}")
    if unknown:
        raise CountError(f"no kernel {', '.join(sorted(unknown))} computes any of these layers")


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "tools/icount", description=description, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shapes = ", ".join("x".join(map(str, shape)) for shape in SHAPES)
    add = parser.add_argument
    add("shape", nargs="*", type=_shape, default=list(SHAPES), metavar="CxHxW", help=f"input of the layer; {shapes}")
    add("--kernel", action=_Several, type=_between(1, LARGEST_KERNEL), default=[5, 3], metavar="K", help="size; 5, 3")
    add("--stride", action=_Several, type=_between(1, LARGEST_STRIDE), default=[1], metavar="S", help="1")
    add("--cpu", action=_Several, choices=CPUS, default=list(CPUS), help="both")
    add("--mode", action=_Several, choices=MODES, default=list(MODES), help="precision; all")
    add("--name", action=_Several, metavar="NAME", help='"ncnn", "direct", "winograd_1d F(4,5)"...; all')
    add("--wheel", type=Path, metavar="FILE", help="our AArch64 wheel in place of the source tree")
    add("--top", type=_between(0, 100), default=0, metavar="N", help="also the most frequent instructions")
    add("--blocks", type=_between(0, 100), default=0, metavar="N", help="also the code that most instructions are in")
    add("--json", action="store_true", help="JSON in place of the table")
    return parser


class _Several(argparse.Action):
    """Collects the values of an option that is given several times, in place of its default."""

    def __call__(self, _: argparse.ArgumentParser, namespace: argparse.Namespace, value: Any, *__: Any) -> None:
        before = getattr(namespace, self.dest)
        values = [] if before is self.default or before is None else before
        setattr(namespace, self.dest, [*values, value] if value not in values else values)


def _shape(text: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"(\d{1,7})x(\d{1,7})x(\d{1,7})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not channels x height x width, such as 64x56x56")
    c, h, w = map(int, found.groups())
    if not 0 < c * h * w <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text} has {c * h * w} numbers, not 1 to {LARGEST}")
    return c, h, w


def _between(least: int, most: int) -> Any:
    def number(text: str) -> int:
        if not (text.isdecimal() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return number
