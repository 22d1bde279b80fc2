from __future__ import annotations

import pytest

from dwca_export.errors import InputRefusedError, UsageError
from dwca_export.sizes import plan_sizes


def accepting(rule):
    """What `plan_sizes` asks of a network whose heights and widths have to obey a rule."""

    def accepts(shapes):
        for shape in shapes:
            if len(shape) == 4 and not all(map(rule, shape[2:])):
                raise InputRefusedError(f"the network does not run on {shape}: RuntimeError: sizes do not match")

    return accepts


def sizes(shapes):
    return [one[0][2:] for one in shapes]


def test_a_network_for_any_size():
    plan = plan_sizes(((1, 3, 28, 40),), accepting(lambda size: True))
    assert plan.conversion[0] == ((1, 3, 28, 40),)
    assert len(plan.conversion) == 3
    assert len(plan.proof) == 4
    assert not plan.note
    assert plan.step == 1


@pytest.mark.parametrize("shape", [(1, 3, 28, 28), (1, 3, 224, 160), (1, 1, 10, 8), (1, 1, 4, 3)])
@pytest.mark.parametrize("least", [1, 3])
def test_it_is_proven_where_it_was_not_converted(shape, least):
    plan = plan_sizes((shape,), accepting(lambda size: size >= least))
    assert not set(plan.conversion) & set(plan.proof)
    assert len(plan.proof) >= 3
    assert all(one[0][:2] == shape[:2] for one in (*plan.conversion, *plan.proof))
    assert all(min(one[0]) >= 1 for one in (*plan.conversion, *plan.proof))
    assert any(height != width for height, width in sizes(plan.proof))


def test_height_and_width_change_each_by_its_own_amount():
    """Or a number that follows the one could be taken for one that follows the other, or for a constant."""
    plan = plan_sizes(((1, 3, 32, 32),), accepting(lambda size: True))
    heights, widths = zip(*sizes(plan.conversion), strict=True)
    assert len(set(heights)) == len(set(widths)) == 3
    assert {a - b for a, b in zip(heights, widths, strict=True)} != {0}


def test_a_network_at_its_limit_is_not_proven_below():
    plan = plan_sizes(((1, 3, 28, 28),), accepting(lambda size: size >= 28))
    assert len(plan.proof) == 3
    assert all(height >= 28 for height, _ in sizes(plan.proof))


def test_a_network_for_multiples_of_its_stride_falls_back_to_steps_of_32():
    plan = plan_sizes(((1, 3, 64, 96),), accepting(lambda size: size % 32 == 0))
    assert all(size % 32 == 0 for one in (*plan.conversion, *plan.proof) for size in one[0][2:])
    assert len(plan.conversion) == len(plan.proof) == 3
    assert not set(plan.conversion) & set(plan.proof)
    assert plan.step == 32
    assert "steps of 32" in plan.note


def test_a_network_for_one_size_is_refused():
    with pytest.raises(InputRefusedError, match="sizes do not match") as caught:
        plan_sizes(((1, 3, 30, 30),), accepting(lambda size: size == 30))
    assert caught.value.where == "--dynamic"
    assert caught.value.hint == "export for one size (without --dynamic)"


def test_the_users_own_shape_keeps_its_own_error():
    with pytest.raises(InputRefusedError, match="does not run on") as caught:
        plan_sizes(((1, 3, 30, 30),), accepting(lambda size: size == 31))
    assert caught.value.where != "--dynamic"


def test_inputs_without_height_and_width_keep_their_shape():
    plan = plan_sizes(((1, 3, 28, 28), (1, 7)), accepting(lambda size: True))
    assert all(one[1] == (1, 7) for one in (*plan.conversion, *plan.proof))


def test_no_input_with_height_and_width_is_a_usage_error():
    with pytest.raises(UsageError, match="height and a width"):
        plan_sizes(((1, 7), (1, 3, 9)), accepting(lambda size: True))


def test_other_errors_pass():
    def broken(shapes):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        plan_sizes(((1, 3, 28, 28),), broken)
