"""Every kernel computes what the definition says, within its error bound, whatever the layer and its layout."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import EMULATED, EXACT, ISAS, Case, case_of_row, cases, examples, rows, same_bits

from dwca_export import kernels
from dwca_export.kernels.bounds import EPSILON

STORAGES = ("fp32", "fp16", "bf16")
ARITHMETICS = [(isa, row) for isa in ISAS for row in dict.fromkeys(row[4] for row in rows(isa))]


# -- against the definition


@pytest.mark.parametrize("isa", ISAS)
def test_every_kernel_is_within_its_bound(isa):
    @examples(500)
    @given(cases(isa))
    def law(case):
        assert case.error <= case.bound, case

    law()


@pytest.mark.slow
@pytest.mark.parametrize("isa", ISAS)
def test_every_kernel_is_within_its_bound_at_length(isa):
    @examples(10_000)
    @given(cases(isa))
    def law(case):
        assert case.error <= case.bound, case

    law()


@pytest.mark.parametrize(("isa", "row"), [(isa, row) for isa in ISAS for row in rows(isa)], ids=str)
def test_every_row_of_the_table_is_reached(isa, row):
    """One that no format leads to could be wrong and nobody would know."""
    found = case_of_row(isa, row)
    assert {case.storage for case in found} >= ({"fp16"} if row[4] == "fp16" else set(STORAGES))
    for case in found:
        assert case.error <= case.bound, case


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_every_width_around_the_tiles(isa, kernel):
    """The paths of a row's ends, its middle and its rest meet at other places for each width."""
    for width in range(1, 36, 3 if EMULATED else 1):
        for elempack in (1, 4, 8, 16):
            layer = kernels.Layer(elempack, 5, width, kernel)
            for algorithm in kernels.algorithms(layer, isa):
                case = Case(layer, isa, algorithm, elempack)
                assert case.error <= case.bound, case


@pytest.mark.parametrize("isa", ISAS)
def test_every_number_of_channels_up_to_two_vectors(isa):
    for channels in range(1, 34, 5 if EMULATED else 1):
        layer = kernels.Layer(channels, 4, 21, 5, activation="hardswish", bias=True)
        for algorithm in kernels.algorithms(layer, isa):
            case = Case(layer, isa, algorithm)
            assert case.error <= case.bound, case


# -- a wrong kernel is seen


def wrong(case, **changes):
    """The error of a kernel that computes another layer, or with another weight."""
    return case.truth.epsilons(changes.pop("of", case).output(**changes), case.arithmetic)


@pytest.mark.parametrize(("isa", "arithmetic"), ARITHMETICS)
def test_an_error_of_four_bounds_is_seen(isa, arithmetic):
    for row in rows(isa):
        if row[4] != arithmetic:
            continue
        for reached in case_of_row(isa, row)[:3]:
            layer = reached.layer
            case = reached.but(layer=kernels.Layer(layer.channels, 9, 11, layer.kernel, layer.stride))
            output, truth = case.output(), case.truth
            output[-1, -1, -1] = truth.values[-1, -1, -1] + 4 * case.bound * EPSILON[arithmetic] * truth.scale[-1, 0, 0]
            assert truth.epsilons(output, arithmetic) > case.bound


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_a_wrong_weight_or_padding_is_seen(isa, kernel):
    layer = kernels.Layer(16, 12, 15, kernel)
    half = kernel // 2
    for algorithm in kernels.algorithms(layer, isa):
        case = Case(layer, isa, algorithm, 4)
        weight = case.numbers[1].copy()
        weight[5, kernel - 1, 0] *= 1.05
        moved = kernels.Layer(16, 12, 15, kernel, padding=(half, half, half - 1, half + 1))
        assert wrong(case) <= case.bound
        assert wrong(case, plan=case.plan(weight)) > case.bound
        assert wrong(case, of=case.but(layer=moved), x=case.numbers[0]) > case.bound


def test_an_output_that_is_left_out_is_seen():
    case = Case(kernels.Layer(4, 5, 5, 3), ISAS[0], "generic")
    output = case.output()
    output[3, 4, 4] = np.nan
    assert case.truth.epsilons(output, "fp32") == float("inf")


# -- the same bits


@pytest.mark.parametrize("isa", ISAS)
def test_threads_do_not_show_in_the_result(isa):
    @examples(150)
    @given(cases(isa))
    def law(case):
        alone = case.but(threads=1).stored()
        for threads in (2, 3, 4):
            assert same_bits(case.but(threads=threads).stored(), alone), (case, threads)

    law()


@pytest.mark.parametrize("isa", ISAS)
def test_layouts_do_not_show_in_the_result(isa):
    """Of the same kernel, with as many lanes.

    But for tensors that are read in place, by code of their own: a sum begins with two products, and a compiler may
    fuse either of them with the addition.
    """

    @examples(150)
    @given(cases(isa))
    def law(case):
        found = {}
        for elempack in (1, 4, 8, 16):
            if case.layer.channels % elempack == 0:
                other = case.but(elempack=elempack)
                in_place = other.lanes == elempack and case.storage in ("fp32", case.arithmetic)
                output = other.output()
                key = (other.lanes, in_place)
                assert same_bits(found.setdefault(key, output), output), (case, elempack)

    law()


@pytest.mark.parametrize("isa", ISAS)
def test_nothing_is_left_behind_by_an_earlier_run(isa):
    @examples(100)
    @given(cases(isa))
    def law(case):
        plan, x = case.plan(), case.numbers[0]
        first = case.stored(x, plan)
        case.stored(np.full_like(x, np.nan), plan)
        assert same_bits(case.stored(x, plan), first), case

    law()


@pytest.mark.parametrize("isa", ISAS)
def test_two_plans_run_in_two_threads(isa):
    jobs = [
        Case(kernels.Layer(16, 33, 35, 5), isa, "direct", 4, threads=2, seed=1),
        Case(kernels.Layer(12, 31, 40, 3), isa, "winograd_2d F(4x4,3x3)", seed=2),
    ]
    plans, expected = [job.plan() for job in jobs], [job.stored() for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            futures = [pool.submit(jobs[i % 2].stored, None, plans[i % 2]) for i in range(4)]
            assert all(same_bits(future.result(), expected[i % 2]) for i, future in enumerate(futures))


@pytest.mark.parametrize("threads", [1, 3])
def test_two_threads_share_a_plan(threads):
    """They wait for each other: the workspace is the plan's."""
    case = Case(kernels.Layer(16, 20, 21, 5), ISAS[-1], "winograd_1d F(4,5)", threads=threads)
    plan, x = case.plan(), case.numbers[0]
    expected = [case.stored(x, plan), case.stored(-2 * x, plan)]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(50):
            futures = [pool.submit(case.stored, x, plan), pool.submit(case.stored, -2 * x, plan)]
            assert all(same_bits(future.result(), one) for future, one in zip(futures, expected, strict=True))


@pytest.mark.parametrize("isa", ISAS)
def test_time_leaves_the_same_output(isa):
    case = Case(kernels.Layer(8, 9, 17, 5), isa, "direct")
    plan, y = case.plan(), case.plan().empty_output()
    assert plan.time(kernels.pack(case.numbers[0], 1), y, 3) > 0
    assert same_bits(y, case.stored())


# -- numbers at the edge of their types


def windows(layer, channel, row, column):
    """Which outputs see one number of the input."""
    x = np.zeros((layer.channels, layer.height, layer.width), np.float32)
    x[channel, row, column] = 1
    return kernels.reference(layer, x, np.ones((layer.channels, layer.kernel, layer.kernel), np.float32)) != 0


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("planted", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_where_it_belongs(isa, planted):
    @examples(60)
    @given(cases(isa), st.data())
    def law(case, data):
        layer = kernels.Layer(**{**vars(case.layer), "activation": "none"})
        case = case.but(layer=layer)
        x = case.numbers[0].copy()
        place = tuple(data.draw(st.integers(0, size - 1)) for size in x.shape)
        x[place] = planted
        seen = windows(layer, *place)
        output, clean = case.output(x), case.output()
        if case.algorithm in EXACT:
            assert np.array_equal(np.isfinite(output), ~seen), case
            assert same_bits(output[~seen], clean[~seen]), case
            assert np.isnan(output[seen]).all() == (np.isnan(planted) or not seen.any()), case
        else:
            assert not np.isfinite(output[seen]).any(), case
            others = np.arange(layer.channels) != place[0]
            assert same_bits(output[others], clean[others]), case

    law()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("activation", ["none", "relu", "relu6", "hardswish"])
def test_an_activation_keeps_what_is_not_a_number(isa, activation):
    layer = kernels.Layer(4, 6, 9, 3, activation=activation)
    for algorithm in kernels.algorithms(layer, isa):
        x = np.full((4, 6, 9), np.nan, np.float32)
        assert np.isnan(Case(layer, isa, algorithm).output(x)).all()


@pytest.mark.parametrize(("isa", "arithmetic"), ARITHMETICS)
@pytest.mark.parametrize("storage", STORAGES)
def test_subnormal_numbers_are_not_flushed(isa, arithmetic, storage):
    """Their sums are exact."""
    if arithmetic == "fp16" != storage:
        pytest.skip("fp16 arithmetic is for fp16 storage")
    tiny = {"fp32": 2.0**-149, "fp16": 2.0**-24, "bf16": 2.0**-133}[storage]
    layer = kernels.Layer(16, 7, 21, 3)
    x = np.random.default_rng(0).integers(-7, 8, (16, 7, 21)).astype(np.float64) * tiny
    weight = np.ones((16, 3, 3), np.float32)
    expected = kernels.reference(layer, x, weight)
    for algorithm in EXACT:
        for elempack in (1, 4, 8, 16):
            case = Case(layer, isa, algorithm, elempack, storage, arithmetic)
            assert np.array_equal(case.output(x.astype(np.float32), case.plan(weight)), expected), case


@pytest.mark.parametrize(("isa", "arithmetic"), ARITHMETICS)
def test_what_is_too_large_for_fp16_becomes_infinite(isa, arithmetic):
    layer = kernels.Layer(16, 7, 21, 3)
    x = np.full((16, 7, 21), 9 * 1024, np.float32)
    x[8:] *= -1
    weight = np.ones((16, 3, 3), np.float32)
    with np.errstate(over="ignore"):
        expected = kernels.reference(layer, x, weight).astype(np.float16)
    assert {float(value) for value in np.unique(expected[:8])} == {4 * 9 * 1024, 6 * 9 * 1024, np.inf}
    for algorithm in EXACT:
        for elempack in (1, 4, 8, 16):
            case = Case(layer, isa, algorithm, elempack, "fp16", arithmetic)
            assert np.array_equal(case.output(x, case.plan(weight)), expected.astype(np.float32)), case


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy's own casts of NaN
@pytest.mark.parametrize(("isa", "arithmetic"), ARITHMETICS)
@pytest.mark.parametrize("storage", ["fp16", "bf16"])
def test_every_number_of_16_bits_passes(isa, arithmetic, storage):
    if arithmetic == "fp16" != storage:
        pytest.skip("fp16 arithmetic is for fp16 storage")
    bits = np.arange(1 << 16, dtype=np.uint16)
    bits[bits == 0x8000] = 0  # 0 + -0 is 0
    layer = kernels.Layer(16, 64, 64, 1)
    for elempack in (1, 4, 8, 16):
        plan = Case(layer, isa, "generic", elempack, storage, arithmetic).plan(np.ones((16, 1, 1), np.float32))
        x = bits.view(np.float16) if storage == "fp16" else bits
        y = kernels.unpack(plan(x.reshape(plan.in_shape)), 16)
        expected = kernels.unpack(x.reshape(plan.in_shape), 16)
        assert np.array_equal(y, expected, equal_nan=True)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("storage", ["fp16", "bf16"])
def test_outputs_are_rounded_to_the_nearest(isa, storage):
    """Ties to even, as numpy rounds; among numbers of all sizes."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 16, 1 << 16).astype(np.uint16)
    x = (
        bits.view(np.float16).astype(np.float32)
        if storage == "fp16"
        else (bits.astype(np.uint32) << 16).view(np.float32)
    )
    x = np.where(np.isfinite(x), x, 0).reshape(16, 64, 64)
    weight = rng.choice([0.5, 1.00390625, 0.75, 2**-9 + 1, 3], 16).astype(np.float32).reshape(16, 1, 1)
    with np.errstate(over="ignore"):
        expected = kernels.pack(weight * x + np.float32(0), 1, storage)
    for elempack in (1, 4, 8, 16):
        case = Case(kernels.Layer(16, 64, 64, 1), isa, "generic", elempack, storage)
        y = kernels.pack(case.output(x, case.plan(weight)), 1, storage)
        assert np.array_equal(y.view(np.uint16), expected.view(np.uint16))
