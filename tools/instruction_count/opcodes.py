"""Names of AArch64 instructions, and those that qemu's disassembler does not know.

qemu 7.2 disassembles with capstone 4, which does not know the vector instructions of fp16 arithmetic (FEAT_FP16) and
prints their four bytes. Encodings: Arm Architecture Reference Manual for A-profile, section C4.1, "Advanced SIMD three
same (FP16)" and "Advanced SIMD vector x indexed element".
"""

from __future__ import annotations

import re

_ARRANGED = re.compile(r"v\d+\.(\w+)")
_SCALAR = re.compile(r"[\s{]([bhsdq])\d+\b")
_BYTES = re.compile(r"\.byte\s+(.+)")

# "Three same (FP16)": the bits that are the same in all of them; the names by U, a, opcode.
_THREE_SAME_MASK, _THREE_SAME_BITS = 0x9F60C400, 0x0E400400
_THREE_SAME = {
    (0, 0, 0): "fmaxnm", (0, 0, 1): "fmla", (0, 0, 2): "fadd", (0, 0, 3): "fmulx", (0, 0, 4): "fcmeq",
    (0, 0, 6): "fmax", (0, 0, 7): "frecps", (0, 1, 0): "fminnm", (0, 1, 1): "fmls", (0, 1, 2): "fsub",
    (0, 1, 6): "fmin", (0, 1, 7): "frsqrts", (1, 0, 0): "fmaxnmp", (1, 0, 2): "faddp", (1, 0, 3): "fmul",
    (1, 0, 4): "fcmge", (1, 0, 5): "facge", (1, 0, 6): "fmaxp", (1, 0, 7): "fdiv", (1, 1, 0): "fminnmp",
    (1, 1, 2): "fabd", (1, 1, 4): "fcmgt", (1, 1, 5): "facgt", (1, 1, 6): "fminp",
}  # fmt: skip
# "Vector x indexed element" where the size says half precision; the names by U, opcode.
_BY_ELEMENT_MASK, _BY_ELEMENT_BITS = 0x9FC00400, 0x0F000000
_BY_ELEMENT = {(0, 1): "fmla", (0, 5): "fmls", (0, 9): "fmul", (1, 9): "fmulx"}


def disassembled(instruction: str) -> str:
    """Disassemble what capstone could not.

    Args:
        instruction: As capstone writes it: ".byte 0x78, 0x0c, 0x4c, 0x4e".

    Returns:
        "fmla v24.8h, v3.8h, v12.8h"; the instruction as it is where it is none of fp16 arithmetic.
    """
    unknown = _BYTES.match(instruction)
    if unknown is None:
        return instruction
    word = int.from_bytes(bytes(int(byte, 16) for byte in unknown[1].split(",")), "little")
    return _half_precision(word) or instruction


def mnemonic(instruction: str) -> str:
    """Name an instruction with the shape of its first vector register: "fmla.4s", "ldr.q", "add"."""
    name, _, operands = instruction.partition(" ")
    arranged = _ARRANGED.search(operands)
    scalar = _SCALAR.match(f" {operands}")
    shape = arranged[1] if arranged else scalar[1] if scalar else ""
    return f"{name}.{shape}" if shape else name


def _half_precision(word: int) -> str | None:
    shape = "8h" if word >> 30 & 1 else "4h"
    negated, first, second, result = word >> 29 & 1, word >> 5 & 31, word >> 16 & 31, word & 31
    name, third = None, ""
    if word & _THREE_SAME_MASK == _THREE_SAME_BITS:
        name = _THREE_SAME.get((negated, word >> 23 & 1, word >> 11 & 7))
        third = f"v{second}.{shape}"
    elif word & _BY_ELEMENT_MASK == _BY_ELEMENT_BITS:
        name = _BY_ELEMENT.get((negated, word >> 12 & 15))
        third = f"v{second & 15}.h[{(word >> 11 & 1) << 2 | (word >> 20 & 3)}]"
    return f"{name} v{result}.{shape}, v{first}.{shape}, {third}" if name else None
