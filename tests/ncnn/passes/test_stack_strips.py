from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hand_made import assert_close, graph, noise, tapped, values
from hypothesis import given, settings
from hypothesis import strategies as st

from dwca_export.ncnn.passes.stack_strips import MAX_ADDED, apply

HARDSWISH = ("HardSwish", "0=0.166666672 1=0.5")


@dataclass(frozen=True)
class Attention:
    """Coordinate attention as pnnx writes it: `c` channels, reduced to `m`, gates of `k_h` and `k_w` channels."""

    side: int = 6
    c: int = 5
    m: int = 4
    k_h: int = 5
    k_w: int = 5
    norm: str = "0=2 1=4 2=1.000000e-5 3=1"
    reduce: str = "5=1"
    activations: tuple[tuple[str, str], ...] = (HARDSWISH,)
    gate_h: str = "5=1 9=4"
    gate_w: str = "5=1 9=4"
    turn: str = "Reshape"

    @property
    def lines(self) -> list[str]:
        s, m = self.side, self.m
        lines = [
            "Input -> in0",
            "TanH in0 -> f",
            f"Pooling f -> pool_h 0=1 1={s} 11=1 12=1 13=0 2={s} 3=0 5=1 6=1",
            f"Pooling f -> pool_w 0=1 1=1 11={s} 12={s} 13=0 2=1 3=0 5=1 6=1",
            self._turn("pool_w -> x_w", f"0=1 1={s} 2={self.c}"),
            "Concat pool_h x_w -> cat 0=1",
            f"Convolution cat -> reduce 0={m} 1=1 11=1 12=1 13=1 14=0 2=1 3=1 4=0 6={m * self.c} {self.reduce}",
        ]
        steps = [("GroupNorm", self.norm)] if self.norm else []
        blob = "reduce"
        for kind, params in (*steps, *self.activations):
            lines.append(f"{kind} {blob} -> {kind.lower()} {params}")
            blob = kind.lower()
        return [
            *lines,
            f"Slice {blob} -> y_h y_w -23300=2,{s},{s} 1=1",
            f"Convolution y_h -> a_h 0={self.k_h} 1=1 6={m * self.k_h} {self.gate_h}",
            self._turn("y_w -> row_w", f"0={s} 1=1 2={m}"),
            f"Convolution row_w -> a_w 0={self.k_w} 1=1 6={m * self.k_w} {self.gate_w}",
        ]

    @property
    def blob_before_slice(self) -> str:
        return next(line.split()[1] for line in self.lines if line.startswith("Slice"))

    def _turn(self, blobs: str, shape: str) -> str:
        return f"Permute {blobs} 0=1" if self.turn == "Permute" else f"Reshape {blobs} {shape}"


GATED = ("BinaryOp f a_w -> g 0=2", "BinaryOp g a_h -> out 0=2")

MATCHES = {
    "as a DWCA block has it": Attention(),
    "norm without weights": Attention(norm="0=2 1=4 2=1.000000e-5 3=0"),
    "one group": Attention(norm="0=1 1=4 2=1.000000e-5 3=1"),
    "a group for each channel": Attention(norm="0=4 1=4 2=1.000000e-5 3=1"),
    "no norm": Attention(norm=""),
    "no norm, activation fused": Attention(norm="", activations=(), reduce="5=1 9=6 -23310=2,0.166666672,0.5"),
    "nothing between": Attention(norm="", activations=()),
    "several activations": Attention(activations=(HARDSWISH, ("ReLU", "0=0.1"), ("Swish", ""))),
    "Clip": Attention(norm="", activations=(("Clip", "0=0.0 1=6.0"),)),
    "no bias": Attention(reduce="5=0", gate_h="5=0 9=4", gate_w="9=4"),
    "one gate with bias": Attention(gate_h="5=0 9=4"),
    "gates without activation": Attention(gate_h="5=1", gate_w="5=1"),
    "turned by Permute": Attention(turn="Permute"),
    "SIMD width": Attention(side=8, c=16, m=8, k_h=16, k_w=16, norm="0=4 1=8 2=1.000000e-5 3=1"),
    "one position": Attention(side=1),
}


@pytest.mark.parametrize("name", MATCHES)
def test_stacks_and_computes_the_same(name):
    attention = MATCHES[name]
    made = graph(*attention.lines, *GATED)
    x = noise(attention.c, attention.side, attention.side)

    after, modified = apply(made)

    assert modified is True
    types = [layer.type for layer in after.layers]
    assert types.count("Convolution") == 2
    assert len(types) == len(made.layers) - 1
    assert after.layer("reduce").int(0) == 2 * attention.m
    assert_close(values(after, x), values(made, x))
    assert apply(after) == (after, False)


def test_gates_of_different_widths():
    attention = Attention(k_h=7, k_w=3)
    made = graph(*attention.lines)
    after, modified = apply(made)
    x = noise(5, 6, 6)
    assert modified is True
    assert [value.shape for value in values(after, x)] == [(7, 6, 1), (3, 1, 6)]
    assert_close(values(after, x), values(made, x))


@settings(max_examples=25, deadline=None)
@given(
    side=st.integers(1, 9),
    c=st.integers(1, 9),
    groups=st.integers(1, 4),
    per_group=st.integers(1, 5),
    k=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    turn=st.sampled_from(["Reshape", "Permute"]),
)
def test_any_sizes(side, c, groups, per_group, k, turn):
    m = groups * per_group
    norm = f"0={groups} 1={m} 2=1.000000e-5 3=1"
    attention = Attention(side=side, c=c, m=m, k_h=k[0], k_w=k[1], norm=norm, turn=turn)
    made = graph(*attention.lines)
    after, modified = apply(made)
    assert modified is True
    x = noise(c, side, side)
    assert_close(values(after, x), values(made, x))


def test_two_blocks_one_behind_the_other():
    first, second = Attention().lines, Attention(norm="").lines
    other = [
        " ".join(word if "=" in word or word == "->" else f"{word}2" for word in line.split()[1:]) for line in second
    ]
    renamed = [f"{line.split()[0]} {rest}" for line, rest in zip(second, other, strict=True)]
    joined = ["BinaryOp out out -> in02 0=0" if line.startswith("Input") else line for line in renamed]
    made = graph(*first, *GATED, *joined, "BinaryOp f2 a_w2 -> g2 0=2", "BinaryOp g2 a_h2 -> out2 0=2")
    x = noise(5, 6, 6)
    after, modified = apply(made)
    assert modified is True
    assert sum(layer.type == "Convolution" for layer in after.layers) == 4
    assert_close(values(after, x), values(made, x))


def unstacked(value: np.ndarray, groups: int) -> np.ndarray:
    """The value in the layout that `Tap.stacked_groups` stands for: the strips one behind the other again."""
    per_group = value.reshape(groups, 2, -1, *value.shape[1:])
    h, w = (per_group[:, strip].reshape(-1, *value.shape[1:]) for strip in (0, 1))
    return np.concatenate([h, w], axis=1)


@pytest.mark.parametrize("name", MATCHES)
def test_taps_tell_where_the_values_are(name):
    attention = MATCHES[name]
    blobs = [word for line in attention.lines for word in line.split("->")[1].split() if "=" not in word]
    made = graph(*attention.lines, *GATED, taps={f"module.{blob}": blob for blob in blobs})
    x = noise(attention.c, attention.side, attention.side)

    after, _ = apply(made)

    before, found = tapped(made, x), tapped(after, x)
    # y_h, y_w and the row made of y_w are computed no more.
    assert set(before) - set(found) == {"module.y_h", "module.y_w", "module.row_w"}
    stacked = {tap.name: tap.stacked_groups for tap in after.taps if tap.stacked_groups}
    first, last = blobs.index("cat"), blobs.index(attention.blob_before_slice)
    assert set(stacked) == {f"module.{blob}" for blob in blobs[first : last + 1]}
    for tap, value in found.items():
        assert_close([unstacked(value, stacked[tap]) if tap in stacked else value], [before[tap]])


def test_the_order_of_the_channels_matters():
    """Were the groups read as one, `unstacked` would say so: the test above can fail."""
    made = graph(*Attention().lines, *GATED, taps={"gn": "groupnorm"})
    x = noise(5, 6, 6)
    after, _ = apply(made)
    (before,), (found,) = tapped(made, x).values(), tapped(after, x).values()
    with pytest.raises(AssertionError):
        assert_close([unstacked(found, 1)], [before])


def test_statistics_run_over_both_strips():
    """A planted fault, the strips normalised apart, is seen by the comparison."""
    attention = Attention(norm="0=1 1=4 2=1.000000e-5 3=1")
    made = graph(*attention.lines, *GATED)
    after, _ = apply(made)
    norm = after.layer("groupnorm")
    apart = after.edited(changed=[norm.with_params({0: 2})])
    x = noise(5, 6, 6)
    with pytest.raises(AssertionError):
        assert_close(values(apart, x), values(made, x))


def edited(old: str, new: str, attention: Attention | None = None) -> list[str]:
    lines = (attention or Attention()).lines
    assert sum(old in line for line in lines) == 1
    return [line.replace(old, new) for line in lines]


def not_square() -> list[str]:
    return [
        line.replace("Pooling f -> pool_h 0=1 1=6", "Pooling f -> pool_h 0=1 1=4").replace("2,6,6", "2,6,4")
        for line in Attention().lines
    ]


LOOK_ALIKES = {
    "not square": not_square(),
    "W before H": edited("Concat pool_h x_w", "Concat x_w pool_h"),
    "strips of different blobs": [
        "Input -> in1",
        *edited("Pooling f -> pool_w", "Pooling in1 -> pool_w"),
    ],
    "maxima": edited("pool_h 0=1", "pool_h 0=0"),
    "a mean over half of the width": edited("pool_h 0=1 1=6", "pool_h 0=1 1=3"),
    "every second row": edited("11=1 12=1 13=0 2=6", "11=1 12=2 13=0 2=6"),
    "every second column": edited("12=6 13=0 2=1", "12=6 13=0 2=2"),
    "padded": edited("11=1 12=1 13=0", "11=1 12=1 13=1"),
    "adaptive": edited("Pooling f -> pool_h 0=1", "Pooling f -> pool_h 7=1 8=1 18=6 0=1"),
    "side by side": edited("-> cat 0=1", "-> cat 0=2"),
    "three strips": edited("Concat pool_h x_w", "Concat pool_h x_w x_w"),
    "a strip is not turned": edited("Reshape pool_w -> x_w 0=1 1=6 2=5", "TanH pool_w -> x_w"),
    "turned into another shape": edited("x_w 0=1 1=6 2=5", "x_w 0=2 1=3 2=5"),
    "turned by an expression": edited("x_w 0=1 1=6 2=5", 'x_w 6="1,0w,0c"'),
    "another permutation": edited("x_w 0=1", "x_w 0=3", Attention(turn="Permute")),
    "a depthwise reduction": edited("Convolution cat", "ConvolutionDepthWise cat"),
    "a reduction of three rows": edited("0=4 1=1 11=1", "0=4 1=1 11=5"),
    "a reduction with padding": edited("14=0", "14=1"),
    "a reduction with strides": edited("12=1 13=1 14=0 2=1", "12=2 13=1 14=0 2=1"),
    "a norm of another kind": edited(
        "GroupNorm reduce -> groupnorm 0=2 1=4 2=1.000000e-5 3=1", "InstanceNorm reduce -> groupnorm 0=4"
    ),
    "softmax": edited("HardSwish groupnorm", "Softmax groupnorm"),
    "an activation before the norm": [
        *Attention(norm="").lines[:-4],
        "GroupNorm hardswish -> norm 0=2 1=4",
        *[line.replace("Slice hardswish", "Slice norm") for line in Attention(norm="").lines[-4:]],
    ],
    "cut at sizes and at an index": edited("2,6,6", "2,6,6 -23302=1,4"),
    "a mean of all": edited("11=1 12=1 13=0 2=6", "11=6 12=1 13=0 2=6"),
    "a mean over a part of the height": edited("1=1 11=6", "1=1 11=4"),
    "turned with further parameters": edited("x_w 0=1 1=6 2=5", "x_w 0=1 1=6 2=5 12=0"),
    "cut across": edited("-23300=2,6,6 1=1", "-23300=2,6,6 1=2"),
    "cut elsewhere": edited("2,6,6", "2,4,8"),
    "cut and the rest": edited("2,6,6", "2,6,-233"),
    "cut at an index": edited("-23300=2,6,6", "-23302=1,6"),
    "gates with different activations": Attention(gate_w="5=1 9=1").lines,
    "an activation with parameters": Attention(gate_h="5=1 9=2 -23310=1,0.1", gate_w="5=1 9=2 -23310=1,0.2").lines,
    "a gate of three positions": edited("a_h 0=5 1=1 6=20", "a_h 0=5 1=1 11=3 6=60"),
    "positions made channels": [
        *Attention(norm="").lines[:-2],
        "Reshape y_w -> row_w 0=1 1=1 2=24",
        "Convolution row_w -> a_w 0=5 1=1 6=120 5=1 9=4",
    ],
    "no turn before the second gate": edited("Reshape y_w -> row_w 0=6 1=1 2=4", "TanH y_w -> row_w"),
    "pool_h read elsewhere": [*Attention().lines, "TanH pool_h -> other"],
    "x_w read elsewhere": [*Attention().lines, "TanH x_w -> other"],
    "cat read elsewhere": [*Attention().lines, "TanH cat -> other"],
    "the reduction read elsewhere": [*Attention().lines, "TanH reduce -> other"],
    "the norm read elsewhere": [*Attention().lines, "TanH groupnorm -> other"],
    "y read elsewhere": [*Attention().lines, "TanH hardswish -> other"],
    "y_h read elsewhere": [*Attention().lines, "TanH y_h -> other"],
    "y_w read elsewhere": [*Attention().lines, "TanH y_w -> other"],
    "the turned y_w read elsewhere": [*Attention().lines, "TanH row_w -> other"],
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_leaves_look_alikes(name):
    made = graph(*LOOK_ALIKES[name])
    after, modified = apply(made)
    assert modified is False
    assert after is made


def test_leaves_what_is_an_output():
    lines = Attention().lines
    for blob in ("pool_h", "x_w", "cat", "reduce", "groupnorm", "hardswish", "y_h", "y_w", "row_w"):
        made = graph(*lines, outputs=("a_h", "a_w", blob))
        assert apply(made) == (made, False), blob


def test_adds_no_more_than_the_bound():
    """4 bytes for each of the zeros: 3 m c in the reduction, m (k_h + k_w) in the gates."""
    at_bound = Attention(side=2, c=200, m=8, k_h=212, k_w=212, norm="")
    assert MAX_ADDED == 4 * 8 * (3 * 200 + 2 * 212)
    made = graph(*at_bound.lines)
    x = noise(200, 2, 2)
    after, modified = apply(made)
    assert modified is True
    assert_close(values(after, x), values(made, x))
    beyond = graph(*replace(at_bound, k_w=213).lines)
    assert apply(beyond) == (beyond, False)
