from __future__ import annotations

import pytest

from dwca_export.errors import InputRefusedError
from models.data import icons
from models.data.curation import Curation
from models.data.thin_objects import CLASSES


@pytest.fixture
def one_set():
    """One set of one icon per class, as the package has it, and the recipe that names them all."""
    about = {"some": {"name": "Some", "author": {"name": "Some Body"}, "license": {"title": "MIT", "spdx": "MIT"}}}
    document = {"prefix": "some", "icons": {name: {"body": f"<path id='{name}'/>"} for name in CLASSES}}
    return about, {"some": document}, Curation({name: (f"some:{name}",) for name in CLASSES})


@pytest.fixture
def read(one_set, packed, tmp_path):
    about, sets, curation = one_set
    return lambda: icons.read(packed(tmp_path / "icons.tgz", about, sets), curation)


def test_icons_come_in_the_order_of_the_recipe_with_their_credits(read):
    collection = read()
    assert [icon.name for icon in collection.icons] == [f"some:{name}" for name in CLASSES]
    assert [icon.label for icon in collection.icons] == list(range(len(CLASSES)))
    assert {icon.vendor for icon in collection.icons} == {"Some Body"}
    assert [(c.prefix, c.author, c.licence, c.icons) for c in collection.credits] == [("some", "Some Body", "MIT", 11)]


def test_the_view_box_is_that_of_icon_then_set_then_format(read, one_set):
    document = one_set[1]["some"]
    assert read().icons[0].view_box == (0, 0, 16, 16)
    document.update(width=24, height=32)
    document["icons"]["knife"].update(left=-1, top=2, width=20)
    assert read().icons[0].view_box == (-1, 2, 20, 32)
    assert read().icons[1].view_box == (0, 0, 24, 32)


def test_an_alias_is_followed_to_what_it_stands_for(read, one_set):
    document = one_set[1]["some"]
    document["icons"]["blade"] = document["icons"].pop("knife")
    document["aliases"] = {"cutter": {"parent": "blade", "width": 20}, "knife": {"parent": "cutter", "hFlip": True}}
    icon = read().icons[0]
    assert (icon.name, icon.body, icon.view_box[2]) == ("some:knife", "<path id='knife'/>", 20)


def test_an_alias_of_itself_is_no_icon(read, one_set):
    document = one_set[1]["some"]
    del document["icons"]["knife"]
    document["aliases"] = {"knife": {"parent": "knife"}}
    with pytest.raises(InputRefusedError, match="no icon some:knife"):
        read()


def test_colours_are_kept_where_the_set_has_some(read, one_set):
    assert not read().icons[0].coloured
    one_set[0]["some"]["palette"] = True
    assert read().icons[0].coloured


def test_an_icon_that_the_package_lacks_is_named(read, one_set):
    del one_set[1]["some"]["icons"]["axe"]
    with pytest.raises(InputRefusedError, match="no icon some:axe") as caught:
        read()
    assert "curation.json" in caught.value.hint


def test_a_withdrawn_icon_is_refused(read, one_set):
    one_set[1]["some"]["icons"]["axe"]["hidden"] = True
    with pytest.raises(InputRefusedError, match="some:axe is withdrawn"):
        read()


@pytest.mark.parametrize("place", [0, 1])
def test_a_set_that_the_package_lacks_is_named(read, one_set, place):
    one_set[place]["other"] = one_set[place].pop("some")
    with pytest.raises(InputRefusedError, match="no icon set 'some'"):
        read()


@pytest.mark.parametrize("licence", [{"title": "CC BY 4.0", "spdx": "CC-BY-4.0"}, {"title": "Custom"}, {}])
def test_a_licence_that_is_not_allowed_is_refused(read, one_set, licence):
    one_set[0]["some"]["license"] = licence
    with pytest.raises(InputRefusedError, match="the licence of icon set 'some'"):
        read()


@pytest.mark.parametrize("licence", icons.LICENCES)
def test_the_allowed_licences_are(read, one_set, licence):
    one_set[0]["some"]["license"] = {"title": licence, "spdx": licence}
    assert read().credits[0].licence == licence


def test_half_a_package_is_refused(read, one_set, packed, tmp_path):
    file = packed(tmp_path / "whole.tgz", *one_set[:2])
    half = tmp_path / "half.tgz"
    half.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputRefusedError, match="no complete package"):
        icons.read(half, one_set[2])


def test_authors_are_those_of_the_sets(one_set, packed, tmp_path):
    file = packed(tmp_path / "icons.tgz", *one_set[:2])
    assert icons.authors(file, ["some"]) == {"some": "Some Body"}
    with pytest.raises(InputRefusedError, match="no icon set 'none'"):
        icons.authors(file, ["none"])
