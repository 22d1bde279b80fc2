"""The Python in the documentation runs, and programs print what the documentation shows."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from documents import README, ROOT, documents, fences, page, shell_lines

if TYPE_CHECKING:
    from pathlib import Path

SNIPPETS = [
    pytest.param(snippet, id=f"{path.stem}-{index}")
    for path, text in documents().items()
    for index, snippet in enumerate(fences(text, "python"))
]
# Figures that depend on the machine: fractions, small numbers, and the SQNR before the top-1.
FIGURE = re.compile(r"\d+\.\d+(?:e[-+]\d+)?|\d+e[-+]\d+|\d+(?=  +\d+ %)")


def run_snippet(code: str) -> str:
    """What the code prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})  # noqa: S102  the documentation's own
    return printed.getvalue()


def same(line: str, other: str) -> bool:
    """Whether two lines agree: in words, and in figures up to a factor of ten."""
    words, others = (FIGURE.sub("#", text).split() for text in (line, other))
    pairs = zip(map(float, FIGURE.findall(line)), map(float, FIGURE.findall(other)), strict=False)
    return words == others and all(a / 10 <= b <= a * 10 for a, b in pairs)


@pytest.mark.filterwarnings("ignore")  # torch's deprecation of tracing, which one snippet is about
@pytest.mark.parametrize("code", SNIPPETS)
def test_every_snippet_runs(code: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ast.parse(code, feature_version=(3, 10))  # the oldest Python that the package runs on
    monkeypatch.chdir(workplace)
    printed = run_snippet(code)
    if code in page("why"):
        shown = fences(page("why"), "text")[0]
        assert all(same(*pair) for pair in zip(shown.splitlines(), printed.splitlines(), strict=True))


def test_a_snippet_that_fails_is_found() -> None:
    with pytest.raises(ImportError):
        run_snippet("from dwca_export import planted")


@pytest.mark.parametrize(
    ("line", "other", "verdict"),
    [
        ("relative L2 error 2e-08", "relative L2 error 9e-08", True),
        ("relative L2 error 0.2", "relative L2 error 2e-08", False),
        ("pnnx exits with 0", "pnnx exits with 1", False),
        ("a  6.4e-07  123  100 %", "a  3.1e-07   99  100 %", True),
        ("a  6.4e-07  123  100 %", "a  6.4e-07  123   50 %", False),
    ],
)
def test_lines_are_compared_in_words_and_in_orders_of_magnitude(line: str, other: str, verdict: bool) -> None:
    assert same(line, other) is verdict


def test_the_cases_of_the_readme_are_those_of_the_script() -> None:
    shown, printed = (
        re.findall(r"relative L2 error (0\.\d+)", text)
        for text in (documents()[README], fences(page("why"), "text")[0])
    )
    assert sorted(shown) == sorted(printed)


def demo_faults(text: str, printed: str) -> list[str]:
    """Lines of the demo's output that the README does not show; it leaves out seconds and the bundle's folder."""
    shown = [line for fence in fences(text, "text") for line in fence.splitlines()]
    lines = [re.sub(r"^(\w+) +\d+\.\d+ s  ", r"\1  ", line) for line in printed.splitlines()]
    return [line for line in lines if not line.startswith("bundle: ") and not any(same(one, line) for one in shown)]


def test_a_changed_line_of_the_demo_is_found() -> None:
    text = documents()[README]
    lines = fences(text, "text")[0].replace("load        ", "load         0.79 s  ")
    assert demo_faults(text, lines) == []
    assert demo_faults(text, lines.replace("12 files", "13 files")) == ["bundle      13 files"]


@pytest.mark.slow
def test_the_readme_shows_what_the_demo_prints(tmp_path: Path) -> None:
    text = documents()[README]
    shown = next(line for line in shell_lines(text) if "fashion_dwca.pt" in line)
    arguments = [str(tmp_path) if word == "demo" else word for word in shlex.split(shown)[1:]]
    command = [sys.executable, "-m", "dwca_export.cli.export", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert demo_faults(text, done.stdout) == []
