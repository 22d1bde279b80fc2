"""Options, exit codes, hops, rewrites, passes, rules and tolerances are documented as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from documents import ROOT, codes, first_cells, name_faults, page, section
from installed import commands, parsers

from dwca_export import errors
from dwca_export.ncnn.any_size import RULES
from dwca_export.ncnn.passes import PASSES
from dwca_export.parity.tolerances import TOLERANCES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INTERRUPTED = 130


def option_faults(text: str, name: str, command: Any) -> list[str]:
    rows = re.findall(r"^\| (`-.+?) \| (.*?) \|", section(text, name, level=2), re.MULTILINE)
    documented = {word.split()[0]: default for cell, default in rows for word in codes([cell])}
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    names = {"--help", *(opt for option in options for opt in (*option.opts, *option.secondary_opts))}
    faults = name_faults(documented, names)
    for option in options:
        said = documented.get(option.opts[0], "")
        if option.default not in (None, False) and said != f"`{option.default}`":
            faults.append(f"{option.opts[0]} has the default {option.default}, not {said}")
    return faults


def test_every_option_of_every_command_is_documented() -> None:
    found = parsers()
    assert {"dwca-export", "dwca-parity", "dwca-bench", "dwca-bench compare"} <= set(found)
    text = page("cli") + page("bench")
    assert [fault for name, command in found.items() for fault in option_faults(text, name, command)] == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("| `--seed N`", "| `--seeds N`", "--seed is not documented"),
        ("| `--seed N`", "| `--seeds N`", "--seeds does not exist"),
        ("| `-q`, `--quiet`", "| `--quiet`", "-q is not documented"),
        ("| `--samples N` | `4`", "| `--samples N` | `5`", "--samples has the default 4, not `5`"),
    ],
)
def test_a_wrong_option_is_found(old: str, new: str, fault: str) -> None:
    text = page("cli")
    assert old in text
    assert fault in option_faults(text.replace(old, new), "dwca-export", commands()["dwca-export"])


def test_the_options_of_another_command_do_not_count() -> None:
    text = page("cli").replace("## dwca-export\n", "## dwca-import\n")
    assert "--seed is not documented" in option_faults(text, "dwca-export", commands()["dwca-export"])


def exit_code_faults(text: str) -> list[str]:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    existing = {kind.exit_code for kind in classes if issubclass(kind, errors.DwcaExportError)}
    documented = codes(first_cells(section(text, "Exit codes", level=2)))
    return name_faults(documented, map(str, {0, INTERRUPTED, *existing}))


def test_every_exit_code_is_documented() -> None:
    assert exit_code_faults(page("cli")) == []


def test_a_wrong_exit_code_is_found() -> None:
    text = page("cli")
    assert "| `4` |" in text
    assert exit_code_faults(text.replace("| `4` |", "| `9` |")) == ["4 is not documented", "9 does not exist"]


def hops() -> list[str]:
    source = "".join((ROOT / "dwca_export" / name).read_text() for name in ("pipeline.py", "conversion.py"))
    # `sizes` runs with --dynamic only and is described on a page of its own.
    return sorted(set(re.findall(r'\.hop\("(\w+)"\)', source)) - {"sizes"})


def rewrites() -> list[str]:
    from dwca_export.rewrites import REWRITES

    return [name for name, _ in REWRITES]


def documented_hops(text: str) -> list[str]:
    return re.findall(r"^### (\w+)$", section(text, "Hops", level=2), re.MULTILINE)


def documented_in_table(title: str) -> Callable[[str], list[str]]:
    return lambda text: codes(first_cells(section(text, title, level=2)))


NAMES = [
    pytest.param("pipeline", documented_hops, hops, id="hops"),
    pytest.param("pipeline", documented_in_table("Rewrites"), rewrites, id="rewrites"),
    pytest.param("pipeline", documented_in_table("Passes"), lambda: [name for name, _ in PASSES], id="passes"),
    pytest.param("any-size", documented_in_table("Rules"), lambda: list(RULES), id="rules"),
    pytest.param("pipeline", documented_in_table("Comparison"), lambda: [*_figures(), *TOLERANCES], id="figures"),
]


def _figures() -> Sequence[str]:
    from dwca_export.parity.measure import Measurement

    names = [name for name in Measurement.__dataclass_fields__ if name not in ("output", "shape", "samples", "fault")]
    return ["channel_l2" if name == "channel" else name for name in names]


@pytest.mark.parametrize(("name", "documented", "existing"), NAMES)
def test_every_name_is_documented(
    name: str, documented: Callable[[str], list[str]], existing: Callable[[], list[str]]
) -> None:
    found = documented(page(name))
    assert name_faults(found, existing()) == []
    assert name_faults(found, [*existing(), "planted"]) == ["planted is not documented"]
    assert name_faults(found, existing()[1:]) == [f"{existing()[0]} does not exist"]


def test_rewrites_and_passes_are_documented_in_their_order() -> None:
    assert documented_in_table("Rewrites")(page("pipeline")) == rewrites()
    assert documented_in_table("Passes")(page("pipeline")) == [name for name, _ in PASSES]


def tolerance_faults(text: str) -> list[str]:
    rows = {
        f"| `{name}` | {t.relative_l2} | {t.relative_max} | {t.channel_l2} | {t.reason} |"
        for name, t in TOLERANCES.items()
    }
    return [f"not documented: {row}" for row in sorted(rows) if row not in text]


def test_the_tolerances_are_documented() -> None:
    assert tolerance_faults(page("pipeline")) == []
    assert tolerance_faults(page("pipeline").replace("| 0.01 |", "| 0.02 |"))
