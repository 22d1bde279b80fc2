from __future__ import annotations

from typing import Any

import pytest

from dwca_export.errors import InputRefusedError
from dwca_export.loading.input_shapes import shapes_of_card, shapes_of_checkpoint


def test_a_card_names_one_input_or_several() -> None:
    assert shapes_of_card({"input": {"shape": [1, 1, 28, 28], "range": [0, 1]}}) == ((1, 1, 28, 28),)
    assert shapes_of_card({"input": [{"shape": [1, 3, 8, 8]}, {"shape": [1, 4]}]}) == ((1, 3, 8, 8), (1, 4))
    assert shapes_of_card({"top1": 0.9}) is None


@pytest.mark.parametrize(
    "named",
    [None, [], {}, {"shape": None}, {"shape": [1, 3, 0, 8]}, {"shape": [1, 3, 8.0, 8]}, [{"shape": [1, 2]}, {}], 7],
)
def test_a_card_with_a_broken_shape_is_refused(named: Any) -> None:
    with pytest.raises(InputRefusedError, match="proper shape"):
        shapes_of_card({"input": named})


@pytest.mark.parametrize(
    ("checkpoint", "shapes"),
    [
        ({}, None),
        ({"shape": [1, 3, 8, 8]}, ((1, 3, 8, 8),)),
        ({"input_shape": (1, 3, 8, 8)}, ((1, 3, 8, 8),)),
        ({"shape": "1x3x8x8"}, ((1, 3, 8, 8),)),
        ({"shape": [(1, 3, 8, 8), (1, 4)]}, ((1, 3, 8, 8), (1, 4))),
        ({"imgsz": 320}, ((1, 5, 320, 320),)),
        ({"imgsz": [320, 256]}, ((1, 5, 320, 256),)),
        ({"input_shape": [1, 3, 8, 8], "imgsz": 320}, ((1, 3, 8, 8),)),
        ({"shape": "wide", "imgsz": None}, None),
        ({"shape": [1, -1, 8, 8]}, None),
        ({"shape": []}, None),
        ({"imgsz": True}, None),
        ({"imgsz": [1, 2, 3]}, None),
        ({"imgsz": -5}, None),
        ({"imgsz": 10**9}, None),
    ],
)
def test_shapes_that_a_training_loop_kept_are_read(checkpoint: dict[str, Any], shapes: Any) -> None:
    assert shapes_of_checkpoint(checkpoint, channels=5) == shapes
