"""Tolerances of the command line and of a project."""

from __future__ import annotations

import pytest

from dwca_export.cli.parity_settings import FIGURES, parse_setting, read_settings, with_settings
from dwca_export.errors import UsageError
from dwca_export.parity.tolerances import TOLERANCES


def project(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", TOLERANCES)
@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_of_every_tolerance_can_be_set(name, figure):
    table, notes = with_settings([parse_setting(f"{name}.{figure}=0.125")])
    assert getattr(table[name], figure) == 0.125
    usual = getattr(TOLERANCES[name], figure)
    assert notes == (f"{name}.{figure} is 0.125 instead of {usual:g} (--tolerance)",)
    assert {key: one for key, one in table.items() if key != name} == {
        key: one for key, one in TOLERANCES.items() if key != name
    }


def test_the_table_itself_is_not_changed():
    before = dict(TOLERANCES)
    with_settings([parse_setting("fp32.relative_l2=1")])
    assert before == TOLERANCES


def test_what_is_as_it_was_needs_no_note():
    assert with_settings([parse_setting(f"fp32.relative_l2={TOLERANCES['fp32'].relative_l2}")]) == (TOLERANCES, ())


def test_the_last_setting_counts():
    table, notes = with_settings([parse_setting("fp32.relative_l2=1"), parse_setting("fp32.relative_l2=2")])
    assert table["fp32"].relative_l2 == 2
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is not NAME.FIGURE=VALUE"),
        ("fp32=1", "is not NAME.FIGURE=VALUE"),
        ("fp32.relative_l2", "is not NAME.FIGURE=VALUE"),
        ("fp32.relative_l2=", "'' is not a number"),
        ("fp32.relative_l2=small", "'small' is not a number"),
        ("fp32.relative_l2=nan", "not a number above 0"),
        ("fp32.relative_l2=inf", "not a number above 0"),
        ("fp32.relative_l2=0", "not a number above 0"),
        ("fp32.relative_l2=-1", "not a number above 0"),
        ("fp33.relative_l2=1", "the tolerance 'fp33' is unknown"),
        ("fp32.relative_l3=1", "the figure 'relative_l3' is unknown"),
        ("fp32.reason=1", "the figure 'reason' is unknown"),
        ("fp32.contrast=1", "the figure 'contrast' is unknown"),
    ],
)
def test_a_setting_that_is_none(text, fault):
    with pytest.raises(UsageError) as caught:
        parse_setting(text)
    assert fault in caught.value.what
    assert caught.value.where == "--tolerance"
    assert caught.value.hint


def test_the_nearest_table_upwards_counts(tmp_path):
    project(tmp_path, "[tool.dwca-export.tolerances.fp32]\nrelative_l2 = 1\n")
    project(tmp_path / "a", "[tool.dwca-export.tolerances.fp32]\nrelative_l2 = 2\n")
    project(tmp_path / "a/b", "[tool.other]\nvalue = 3\n")
    (tmp_path / "a/b/c").mkdir()
    (one,) = read_settings(tmp_path / "a/b/c")
    assert (one.tolerance, one.figure, one.value) == ("fp32", "relative_l2", 2.0)
    assert one.where == f"{tmp_path / 'a/pyproject.toml'} [tool.dwca-export]"


def test_without_a_table_there_are_no_settings(tmp_path):
    assert read_settings(project(tmp_path, "[project]\nname = 'x'\n[tool.dwca-export]\n")) == ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[tool", "cannot be read"),
        ("\x00", "cannot be read"),
        ("[tool]\ndwca-export = 3\n", "not a table"),
        ("[tool.dwca-export]\nmodes = ['fp32']\n", "'modes' is unknown"),
        ("[tool.dwca-export]\ntolerances = 3\n", "tolerances is not a table of tables"),
        ("[tool.dwca-export.tolerances]\nfp32 = 3\n", "tolerances is not a table of tables"),
        ("[tool.dwca-export.tolerances.fp33]\nrelative_l2 = 1\n", "the tolerance 'fp33' is unknown"),
        ("[tool.dwca-export.tolerances.fp32]\nrelative = 1\n", "the figure 'relative' is unknown"),
        ("[tool.dwca-export.tolerances.fp32]\nrelative_l2 = '1'\n", "not a number above 0"),
        ("[tool.dwca-export.tolerances.fp32]\nrelative_l2 = true\n", "not a number above 0"),
        ("[tool.dwca-export.tolerances.fp32]\nrelative_l2 = nan\n", "not a number above 0"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path, text, fault):
    with pytest.raises(UsageError) as caught:
        read_settings(project(tmp_path, text))
    assert fault in caught.value.what
    assert str(tmp_path / "pyproject.toml") in caught.value.where
    assert caught.value.hint


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        read_settings(tmp_path)
