"""The tables and plots on Winograd are those that tools/winograd_figures.py makes of the figures that are kept."""

from __future__ import annotations

import json
import re

import pytest
from documents import PAGES, ROOT, page

from tools.winograd_figures import LAYERS, merged, written
from tools.winograd_tables import family, markdown, spoken, tables

FIGURES = json.loads((ROOT / "docs/winograd.json").read_text(encoding="utf-8"))

BENCH = {"schema": "dwca-bench/1", "kind": "kernels", "complete": True, "emulated": False, "settings": {"isa": "avx2"}}
RATIO = {"ratio": 0.123456, "ratio_low": 0.1, "ratio_high": 0.2, "error_epsilons": 1.0, "percent_of_peak": 50.0}
ROW = {"layer": "8x8x8 k5 s1", "name": "direct", "unavailable": None, "is_right": True, **RATIO, "samples_us": [1.0]}


def missing(text: str, titles: list[str]) -> list[str]:
    made = tables(FIGURES)
    return [title for title in titles if made[title] not in text]


def test_every_table_is_shown_as_it_is_made() -> None:
    assert missing(page("winograd"), [title for title in tables(FIGURES) if "other" not in title]) == []
    assert missing(page("instructions"), [title for title in tables(FIGURES) if "Instructions" in title]) == []
    changed = page("winograd").replace("| `direct` | ", "| `direct` | 1")
    assert missing(changed, ["Instructions, fp32"]) == ["Instructions, fp32"]


def test_every_plot_is_there_and_shown() -> None:
    shown = set(re.findall(r"\(figures/(winograd-\w+\.svg)\)", page("winograd")))
    assert shown == {path.name for path in (PAGES / "figures").glob("winograd-*")}


def test_the_figures_are_of_all_layers_and_written_as_they_are_read() -> None:
    assert json.loads(written(FIGURES)) == FIGURES
    layers = sum(1 for layer in LAYERS for word in layer if not word.startswith("--"))
    assert {isa: len({row["layer"] for row in FIGURES[isa]}) for isa in ("avx2", "avx512")} == dict.fromkeys(
        ("avx2", "avx512"), layers
    )


def test_a_document_replaces_what_was_there_of_its_kind() -> None:
    old = {"avx2": [{"name": "old"}], "avx512": [{"name": "kept"}]}
    auto, absent = {**ROW, "name": "auto = direct"}, {**ROW, "name": "generic", "unavailable": "why"}
    new = merged(old, [{**BENCH, "rows": [ROW, auto, absent]}, {**BENCH, "rows": [ROW]}])
    assert [row["ratio"] for row in new["avx2"]] == [0.1235, 0.1235]
    assert new["avx512"] == old["avx512"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "other"}, "no document"),
        ({"kind": "model"}, "no document"),
        ({"complete": False}, "interrupted"),
        ({"emulated": True}, "emulation"),
        ({"settings": {"isa": None}}, "without --isa"),
        ({"rows": [{**ROW, "is_right": False}]}, "8x8x8 k5 s1: direct"),
    ],
)
def test_a_document_that_has_no_such_figures_is_refused(change, said) -> None:
    with pytest.raises(ValueError, match=said):
        merged({}, [{**BENCH, "rows": [ROW], **change}])


def test_names_are_those_of_the_columns() -> None:
    names = ("direct", "ncnn, Winograd off", "winograd_1d F(4,5)", "winograd_2d F(2x2,3x3)")
    assert [family(name) for name in names] == [*names[:2], "winograd_1d F(4,K)", "winograd_2d F(2x2,KxK)"]
    assert [spoken("8x9x10 k5 s1"), spoken("8x9x10 k3 s2")] == ["5x5, 8x9x10", "3x3 stride 2, 8x9x10"]
    assert markdown(("a", "b", "c"), [["1", "", "3"], ["", "", "4"]]) == "| a | c |\n| --- | --- |\n| 1 | 3 |\n| | 4 |"
