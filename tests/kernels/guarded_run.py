"""Runs every kernel of an instruction set between pages that nothing may touch: an access beside a tensor ends it.

usage: python guarded_run.py ISA [--plant read|write|weights]

Prints each case before it runs; the last line is `done` and the number of runs.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import sys
from dataclasses import replace
from typing import Any

import numpy as np
from kernel_cases import EMULATED, Case, case_of_row, rows, same_bits

from dwca_export import kernels

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_NOTHING = 0

WIDTHS = (1, 17) if EMULATED else (1, 3, 7, 8, 15, 17, 30)
HEIGHTS = (3,) if EMULATED else (1, 5)


def say(what: object) -> None:
    """At once: what comes next may be the end."""
    print(what, flush=True)  # noqa: T201


class Guarded:
    """Memory between two pages without any access.

    Args:
        most: Bytes that arrays in it may take.
    """

    def __init__(self, most: int) -> None:
        page = mmap.PAGESIZE
        self._size = -(-most // page) * page
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        outer = _LIBC.mmap(None, self._size + 2 * page, _NOTHING, flags, -1, 0)
        assert outer not in (None, ctypes.c_void_p(-1).value)
        self._begin = outer + page
        assert _LIBC.mprotect(self._begin, self._size, mmap.PROT_READ | mmap.PROT_WRITE) == 0

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any], at_end: bool) -> np.ndarray:
        """An array that begins where the memory does, or ends where it ends."""
        size = int(np.prod(shape)) * dtype.itemsize
        assert size <= self._size
        begin = self._begin + (self._size - size if at_end else 0)
        return np.frombuffer((ctypes.c_char * size).from_address(begin), dtype).reshape(shape)

    def copy(self, array: np.ndarray, at_end: bool) -> np.ndarray:
        """The same numbers in this memory."""
        copied = self.array(array.shape, array.dtype, at_end)
        copied[...] = array
        return copied


def guarded_output(case: Case, memories: list[Guarded], at_end: bool) -> np.ndarray:
    """What the kernel makes of the case's numbers with all its tensors beside forbidden pages."""
    x, weight, bias = case.numbers
    in_memory, out_memory, weight_memory, bias_memory = memories
    guarded_bias = None if bias is None else bias_memory.copy(bias, at_end)
    plan = case.plan(weight_memory.copy(weight, at_end), guarded_bias)
    packed = in_memory.copy(kernels.pack(x, case.elempack, case.storage), at_end)
    y = out_memory.array(plan.out_shape, packed.dtype, at_end)
    plan.run(packed, y)
    return y


def shapes(case: Case) -> list[Case]:
    """The same kernel and format on layers of other sizes; threads take turns."""
    found = []
    for index, (height, width) in enumerate(itertools.product(HEIGHTS, WIDTHS)):
        half = case.layer.kernel // 2
        padding = (half, half, half, half) if index % 3 else (half + 2, half, half, half + 1)
        layer = replace(case.layer, height=height, width=width, padding=padding)
        found.append(case.but(layer=layer, threads=1 + index % 2))
    return found


def everything(isa: str) -> int:
    """Run it all; returns how often."""
    memories = [Guarded(1 << 20) for _ in range(4)]
    runs = 0
    for row in rows(isa):
        for reached in case_of_row(isa, row):
            for case in shapes(reached):
                say(case)
                expected = case.stored()
                for at_end in (False, True):
                    assert same_bits(guarded_output(case, memories, at_end), expected)
                    runs += 1
    return runs


def plant(isa: str, kind: str) -> None:
    """Let a kernel go one row too far: its tensor is as large as it says, but one row of it lies in the page."""
    case = Case(kernels.Layer(8, 9, 16, 5), isa, "direct", 4)
    x, weight, _ = case.numbers
    plan = case.plan()
    tensors = [kernels.pack(x, 4), plan.empty_output()]
    memory = Guarded(1 << 20)
    too_short = memory.array((tensors[0].size - 64,), tensors[0].dtype, at_end=True)
    beyond = np.lib.stride_tricks.as_strided(too_short, tensors[0].shape, tensors[0].strides)
    say(case)
    if kind == "weights":
        short = memory.array((weight.size - 25,), weight.dtype, at_end=True)
        case.plan(np.lib.stride_tricks.as_strided(short, weight.shape, weight.strides))
    elif kind == "read":
        plan._native.run(beyond, tensors[1])
    else:
        plan._native.run(tensors[0], beyond)


if __name__ == "__main__":
    if "--plant" in sys.argv:
        plant(sys.argv[1], sys.argv[3])
        say("nothing noticed")
    else:
        say(f"done {everything(sys.argv[1])}")
