"""Executes a loop of known length between marks, for tests/test_icount.py: AArch64 with fp16 arithmetic.

usage: python icount_loop.py ITERATIONS
"""

from __future__ import annotations

import ctypes
import mmap
import sys

CODE = (
    0x4E420C20,  # fmla v0.8h, v1.8h, v2.8h
    0xF1000400,  # subs x0, x0, #1
    0x54FFFFC1,  # b.ne to the first
    0xD65F03C0,  # ret
)

memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(b"".join(word.to_bytes(4, "little") for word in CODE))
loop = ctypes.CFUNCTYPE(None, ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
libc = ctypes.CDLL(None)
iterations = int(sys.argv[1])
for tag in (0, 1, 0, 1):
    libc.syscall(0x5A00, tag)
    loop(iterations * (tag + 1))
    libc.syscall(0x5A01)
