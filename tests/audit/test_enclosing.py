from __future__ import annotations

from dwca_export.audit.enclosing import places
from dwca_export.ncnn.param import Param

TEXT = """7767517
6 7
Input in0 0 1 in0
Convolution conv 1 1 in0 a 0=4 1=1 6=12
Split split 1 2 a a0 a1
GroupNorm norm 1 1 a0 b 0=1 1=4
Convolution gate 1 1 b c 0=4 1=1 6=16
BinaryOp product 2 1 a1 c out0 0=2
"""


def find(known):
    return places(Param.parse(TEXT), known)


def test_a_layer_between_two_values_of_a_block_is_in_the_block():
    place = find({"a": "trunk.block.conv", "c": "trunk.block.gate"})["b"]
    assert (place.module, place.after) == ("trunk.block", ("trunk.block.conv",))


def test_a_layer_behind_all_known_values():
    place = find({"a": "trunk.block.conv", "c": "trunk.block.gate"})["out0"]
    assert (place.module, place.after) == ("trunk.block", ("trunk.block.conv", "trunk.block.gate"))


def test_a_layer_between_two_blocks_is_in_what_holds_both():
    assert find({"a": "trunk.0.conv", "c": "trunk.1.gate"})["b"].module == "trunk"


def test_names_are_compared_part_by_part():
    assert find({"a": "trunk.10.conv", "c": "trunk.1.gate"})["b"].module == "trunk"


def test_nothing_is_made_up():
    assert find({"a": "conv", "c": "gate"})["b"].module == ""
    assert find({})["b"].module == ""
    assert find({})["b"].after == ()
