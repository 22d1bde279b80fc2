"""The page on the comparison is what models/experiment makes of the figures that are kept."""

from __future__ import annotations

import json
import re

import pytest
from documents import PAGES, ROOT, page

from models.experiment.json_file import json_text
from models.experiment.page import filled
from models.experiment.tables import tables
from models.experiment.verdict import verdict

FILE = ROOT / "docs/comparison.json"


@pytest.fixture(scope="module")
def figures():
    return json.loads(FILE.read_text(encoding="utf-8"))


def test_tables_words_and_marks_are_those_of_the_figures(figures) -> None:
    assert filled(page("comparison"), figures) == page("comparison")
    assert verdict(figures) in page("comparison")
    made = tables(figures)
    assert made["objects"] in page("comparison")
    changed = page("comparison").replace(made["objects"], made["objects"].replace("baseline", "DWCA"))
    assert filled(changed, figures) != changed


def test_every_plot_is_there_and_shown() -> None:
    shown = set(re.findall(r"\(comparison/([\w-]+\.svg)\)", page("comparison")))
    assert shown == {path.name for path in (PAGES / "comparison").glob("*.svg")}


def test_figures_are_of_the_real_data_and_written_as_they_are_read(figures) -> None:
    assert {figures[task]["dataset"]["name"] for task in ("objects", "scenes")} == {"thin-objects"}
    assert json_text(figures) == FILE.read_text(encoding="utf-8")
