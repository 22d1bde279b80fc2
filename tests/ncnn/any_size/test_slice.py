from __future__ import annotations

import pytest
from hand_made import any_size, assert_right_at, finish, graph, noise, run

from dwca_export.errors import ConversionError

SIZES = ((9, 14), (12, 22), (17, 16))
UNSEEN = ((5, 6), (10, 33), (31, 7), (1, 5), (4, 1), (1, 1))
STRIPS = (
    "Reduction in0 -> s 0=3 1=0 -23303=1,2 4=1 5=1",
    "Reduction in0 -> t 0=3 1=0 -23303=1,1 4=1 5=1",
    "Reshape t -> u 0=1 1=-1 2=3",
)


def network(*lines):
    return lambda h, w: graph("Input -> in0", *(line.format(h=h, w=w, b=h + w) for line in lines))


KNOWN = {
    "two strips": (*STRIPS, "Concat s u -> cat 0=1", "Slice cat -> a b -23300=2,{h},{w} 1=1"),
    "two strips, the rest": (*STRIPS, "Concat s u -> cat 0=1", "Slice cat -> a b -23300=2,{h},-233 1=1"),
    "axis from the end": (*STRIPS, "Concat s u -> cat 0=1", "Slice cat -> a b -23300=2,{h},{w} 1=-2"),
    "three parts": (*STRIPS, "Concat s u s -> cat 0=1", "Slice cat -> a b c -23300=3,{h},{w},{h} 1=1"),
    "four parts": (*STRIPS, "Concat s u u s -> cat 0=1", "Slice cat -> a b c d -23300=4,{h},{w},{w},{h} 1=1"),
    "a constant part first": (
        *STRIPS,
        "Padding s -> p 0=2 4=0 5=1.0",
        "Concat p u -> cat 0=1",
        "Slice cat -> a b c -23300=3,2,{h},{w} 1=1",
    ),
    "a constant part last": (
        *STRIPS,
        "Padding u -> p 1=2 4=0 5=1.0",
        "Concat s p -> cat 0=1",
        "Slice cat -> a b c -23300=3,{h},{w},2 1=1",
    ),
    "along the width": (
        "Permute in0 -> t 0=1",
        "Reduction in0 -> s 0=3 1=0 -23303=1,1 4=1 5=1",
        "Reduction t -> u 0=3 1=0 -23303=1,1 4=1 5=1",
        "Concat s u -> cat 0=2",
        "Slice cat -> a b -23300=2,{w},{h} 1=2",
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_parts_become_crops(name):
    make = network(*KNOWN[name])
    made = any_size(make, SIZES)
    assert all(layer.type != "Slice" for layer in made.layers)
    assert len(made.outputs) == len(make(*SIZES[0]).outputs)
    assert_right_at(made, make, UNSEEN)


CONSTANT = {
    "channels": ("Slice in0 -> a b -23300=2,1,2 1=0",),
    "channels in equal parts": ("Slice in0 -> a b c -23300=3,-233,-233,-233 1=0",),
    "a constant part and the rest": ("Slice in0 -> a b -23300=2,1,-233 1=1",),
    "up to an index": ("Slice in0 -> a b -23302=1,1 1=1",),
}


@pytest.mark.parametrize("name", CONSTANT)
def test_leaves_parts_that_do_not_depend_on_the_size(name):
    make = network(*CONSTANT[name])
    made = any_size(make, SIZES)
    assert made.layers == finish_names(make)
    assert_right_at(made, make, ((5, 6), (10, 33), (31, 7), (2, 2)))


def finish_names(make):
    return finish(make(*SIZES[0])).param.layers


REFUSED = {
    "a part of no blob": ("Slice in0 -> a b -23300=2,{h},{w} 1=1", (9, 14)),
    "equal parts, one size even": ("Slice in0 -> a b -23300=2,-233,-233 1=1", (4, 6)),
    "equal parts of a part": ("Slice in0 -> a b c -23300=3,2,-233,-233 1=1", (4, 6)),
    "the rest in front": ("Slice in0 -> a b -23300=2,-233,2 1=1", (4, 6)),
    "not all of it": ("Slice in0 -> a b -23300=2,2,2 1=1", (4, 6)),
    "indices": ("Slice in0 -> a b -23302=1,{h} 1=2", (3, 6)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_the_others(name):
    line, (h, w) = REFUSED[name]
    with pytest.raises(ConversionError, match=r"generalise, layer slice_1 \(Slice\)"):
        any_size(network(line), ((h, w), (h + 2, w + 8), (h + 6, w + 4)))


def test_ncnn_cuts_what_remains_into_equal_parts():
    """Why `-233` is the rest only in the last place."""
    made = finish(graph("Input -> in0", "Slice in0 -> a b c -23300=3,1,-233,-233 1=1"))
    assert [part.shape[1] for part in run(made, [noise(2, 8, 3)]).values()] == [1, 3, 4]
