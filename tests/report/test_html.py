from __future__ import annotations

from html.parser import HTMLParser

import pytest

from dwca_export.report.html import page

_VOID = {"meta"}
_EVIL = "<script>alert('\"&')</script>"


class Page(HTMLParser):
    """Reads a page, and insists that every element is closed where it should be."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.seen = []
        self.texts = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_it_is_well_formed(manifest):
    read = Page(page(manifest))
    assert read.seen.count("h1") == 1
    assert read.seen.count("table") == 4
    assert "trunk.0" in read.texts


def test_it_needs_nothing_else(manifest):
    text = page(manifest)
    assert "http" not in text
    assert "src=" not in text
    assert not {"script", "link", "img"} & set(Page(text).seen)


def test_the_check_finds_what_is_not_closed():
    with pytest.raises(AssertionError):
        Page("<p><b>x</p>")


def test_names_are_escaped_wherever_they_stand(manifest):
    manifest["name"] = manifest["source"]["file"] = manifest["source"]["kind"] = _EVIL
    manifest["inputs"][0]["name"] = manifest["samples"]["origin"] = manifest["blocks"][0]["name"] = _EVIL
    manifest["notes"] = manifest["changes"] = [_EVIL]
    manifest["tools"] = {"torch": _EVIL}
    manifest["proven"][0]["samples"]["origin"] = _EVIL
    manifest["contrasts"][0]["reference"] = manifest["contrasts"][0]["output"] = _EVIL
    for comparison in manifest["parity"]:
        comparison["reference"] = comparison["candidate"] = comparison["outputs"][0]["output"] = _EVIL
    read = Page(page(manifest))
    assert "script" not in read.seen
    assert sum("alert" in text for text in read.texts) >= 16


def test_without_blocks_it_says_so(manifest):
    manifest["blocks"] = []
    assert Page(page(manifest)).seen.count("table") == 3


def test_it_says_for_which_sizes_the_network_is(manifest):
    assert "this size only" in page(manifest)
    manifest["any_size"] = True
    assert "every height and width" in page(manifest)
