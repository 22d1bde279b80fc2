from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import PurePosixPath

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dwca_export.errors import InputRefusedError
from dwca_export.loading.pickle_scan import Global, scan


class Plain:
    def __init__(self) -> None:
        self.value = 1


def scanned(value: object, protocol: int = 2):
    return scan(io.BytesIO(pickle.dumps(value, protocol)))


def test_plain_values_ask_for_nothing() -> None:
    found = scanned({"epoch": 3, "lr": [0.1, None, True], "name": "é"})
    assert not found.named
    assert not found.called
    assert not found.opaque


def test_a_bare_instance_is_named_but_not_called() -> None:
    found = scanned([Plain(), Plain()])
    assert found.named == {Global(__name__, "Plain")}
    assert not found.called
    assert not found.opaque


def test_a_call_is_seen_through_the_memo() -> None:
    found = scanned([PurePosixPath("a"), PurePosixPath("b")])
    assert {call.name for call in found.called} == {"PurePosixPath"}
    assert not found.opaque


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read(protocol: int) -> None:
    found = scanned({"a": OrderedDict(x=1), "b": {1, 2}, "c": torch.Size([1, 2]), "d": b"raw", "e": 1 << 70}, protocol)
    assert Global("collections", "OrderedDict") in found.named
    assert Global("torch", "Size") in found.named


def test_names_of_python_2_are_translated_as_unpicklers_do() -> None:
    found = scan(io.BytesIO(b"\x80\x02c__builtin__\neval\n."))
    assert found.named == {Global("builtins", "eval")}


def test_a_call_of_what_another_call_gave_is_opaque() -> None:
    # getattr(os, "system")("true")
    crafted = b"\x80\x02cbuiltins\ngetattr\ncos\nsystem\nX\x08\x00\x00\x00__call__\x86RX\x04\x00\x00\x00true\x85R."
    found = scan(io.BytesIO(crafted))
    assert found.opaque
    assert Global("builtins", "getattr") in found.called


@pytest.mark.parametrize("crafted", [b"(ios\nsystem\n.", b"(cos\nsystem\no.", b"\x82\x01."])
def test_calls_of_protocol_0_and_by_number_are_opaque(crafted: bytes) -> None:
    assert scan(io.BytesIO(crafted)).opaque


def test_a_name_with_a_blank_is_refused() -> None:
    with pytest.raises(InputRefusedError, match="damaged"):
        scan(io.BytesIO(b"\x80\x02cos system\nx\n."))


def test_a_name_outside_ascii_is_read_or_refused_as_such() -> None:
    crafted = b"\x80\x02c" + "netze\nFüßchen日\n.".encode()
    try:
        found = scan(io.BytesIO(crafted))
    except InputRefusedError as error:
        assert "outside ASCII" in error.what  # noqa: PT017 - depends on the version of Python
    else:
        assert found.named == {Global("netze", "Füßchen日")}


def test_only_one_pickle_is_read() -> None:
    stream = io.BytesIO(pickle.dumps(1, 2) + pickle.dumps(Plain(), 2))
    assert not scan(stream).named
    assert scan(stream).named


def test_every_truncation_is_refused() -> None:
    whole = pickle.dumps({"a": Plain(), "b": OrderedDict(x=[1, 2.0, "text"])}, 2)
    for length in range(len(whole)):
        with pytest.raises(InputRefusedError, match="damaged"):
            scan(io.BytesIO(whole[:length]))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        scan(io.BytesIO(b"\x80\x02" + content))
    except InputRefusedError as error:
        assert "damaged" in error.what or "outside ASCII" in error.what  # noqa: PT017 - either outcome is right
