from __future__ import annotations

import pytest
from hand_made import any_size, assert_right_at, graph

from dwca_export.errors import ConversionError

SIZES = ((9, 14), (12, 21), (17, 16))
UNSEEN = ((5, 5), (10, 33), (31, 7), (1, 4), (3, 1), (1, 1))


def pooling(params):
    """A network with one pooling whose parameters depend on the size."""
    return lambda h, w: graph("Input -> in0", "TanH in0 -> a", f"Pooling a -> b {params(h, w)}")


WHOLE = {
    "mean of rows": lambda h, w: f"0=1 1={w} 11=1 12=1 13=0 2={w} 3=0 5=1 6=1",
    "mean of columns": lambda h, w: f"0=1 1=1 11={h} 12={h} 13=0 2=1 3=0 5=1 6=1",
    "mean of all": lambda h, w: f"0=1 1={w} 11={h} 2={w} 12={h}",
    "maximum of rows": lambda h, w: f"0=0 1={w} 11=1 2=1 12=1",
    "maximum of columns": lambda h, w: f"0=0 1=1 11={h}",
    "maximum of all": lambda h, w: f"0=0 1={w} 11={h}",
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_kernel_that_spans_axes_becomes_a_reduction(name):
    make = pooling(WHOLE[name])
    made = any_size(make, SIZES)
    assert [layer.type for layer in made.layers] == ["Input", "TanH", "Reduction"]
    assert_right_at(made, make, UNSEEN)


REFUSED = {
    "less than the axis": lambda h, w: f"0=1 1={w - 1} 11=1",
    "half of the axis": lambda h, w: f"0=1 1={w // 2} 11=1 2={w // 2} 12=1",
    "padded": lambda h, w: f"0=1 1={w} 11=1 2={w} 12=1 3=1 13=0 5=1",
    "rows left out": lambda h, w: f"0=1 1={w} 11=1 2={w} 12=2",
    "columns left out": lambda h, w: f"0=1 1=1 11={h} 2=2 12={h}",
    "adaptive": lambda h, w: f"0=1 7=1 8={w // 2} 18=2",
    "mean here, maximum there": lambda h, w: f"0={h % 2} 1={w} 11=1",
    "an axis, but not always": lambda h, w: f"0=1 1={w if w > 14 else 1} 11=1",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_other_kernels_that_depend_on_the_size(name):
    with pytest.raises(ConversionError, match=r"generalise, layer pooling_2 \(Pooling\)"):
        any_size(pooling(REFUSED[name]), SIZES)


def test_leaves_kernels_that_do_not():
    make = pooling(lambda h, w: "0=1 1=3 2=2 5=1")
    made = any_size(make, SIZES)
    assert [layer.type for layer in made.layers] == ["Input", "TanH", "Pooling"]
    assert_right_at(made, make, ((5, 5), (10, 33), (31, 7), (3, 3)))
