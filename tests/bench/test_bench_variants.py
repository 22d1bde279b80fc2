from __future__ import annotations

import pytest

from dwca_export.bench.variants import Variant, check_threads, parse_variant, usual_variants
from dwca_export.errors import UsageError

FIRST = Variant()


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        (FIRST, "fp32"),
        (Variant("bf16-storage", 4), "bf16-storage+threads=4"),
        (Variant(weights="fp16", winograd=False, cores="big"), "fp32+weights=fp16+no-winograd+powersave=big"),
        (Variant(packing=False, sgemm=False), "fp32+no-packing+no-sgemm"),
    ],
)
def test_names_can_be_read_back(variant, name):
    assert variant.name == name
    assert parse_variant(name, FIRST) == variant


def test_what_is_not_said_stays_as_in_the_first():
    assert parse_variant("no-packing", Variant("fp16-storage", 2)).name == "fp16-storage+threads=2+no-packing"


@pytest.mark.parametrize(
    "text",
    [
        *("", "fp64", "fp32+", "no_packing", "weights=int8", "powersave=all cores"),
        *("threads", "threads=", "threads=0", "threads=-1", "threads=two", "threads=²"),
        *("no-packing+no-packing", "fp32+bf16-storage"),
    ],
)
def test_what_is_no_variant_is_refused(text):
    with pytest.raises(UsageError) as caught:
        parse_variant(text, FIRST)
    assert caught.value.where == "--variants"
    assert "powersave=little" in caught.value.hint


def test_usually_each_option_is_changed_alone():
    found = usual_variants(FIRST, 2, ("fp32", "fp16"))
    assert [variant.name for variant in found] == [
        *("fp32", "fp32+threads=2", "fp16-storage", "fp16-arithmetic", "bf16-storage", "fp32+weights=fp16"),
        *("fp32+no-winograd", "fp32+no-packing", "fp32+no-sgemm", "fp32+powersave=little", "fp32+powersave=big"),
    ]


def test_the_first_variant_is_first_whatever_it_is():
    found = usual_variants(Variant("bf16-storage", 2), 2, ("fp32",))
    assert found[0].name == "bf16-storage+threads=2"
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("cpus", "threads"), [(1, [1]), (4, [1, 2, 3, 4]), (12, [1, 2, 4, 8, 12]), (16, [1, 2, 4, 8, 16])]
)
def test_threads_up_to_all(cpus, threads):
    found = usual_variants(FIRST, cpus, ("fp32",))
    assert sorted({variant.threads for variant in found}) == threads


def test_more_threads_than_cpus_are_refused():
    check_threads([Variant(threads=4)], 4)
    with pytest.raises(UsageError, match="5 threads on 4 CPUs"):
        check_threads([FIRST, Variant(threads=5)], 4)
