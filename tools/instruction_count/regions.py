"""What the plugin wrote: how often each block of code was executed in each region."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tools.instruction_count.opcodes import disassembled, mnemonic

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Block:
    """Instructions that are executed one after the other, from one entry to the next branch."""

    address: int
    length: int

    @property
    def end(self) -> int:
        """The address after it; an instruction has four bytes."""
        return self.address + 4 * self.length


@dataclass
class Region:
    """What was executed between two marks.

    Attributes:
        executions: How often each block was.
    """

    executions: Counter[Block] = field(default_factory=Counter)

    @property
    def instructions(self) -> int:
        """How many instructions were executed."""
        return sum(block.length * times for block, times in self.executions.items())

    def minus(self, other: Region) -> Region:
        """What was executed here more often than there; blocks that were executed less often count negative."""
        difference = Counter(self.executions)
        difference.subtract(other.executions)
        return Region(Counter({block: times for block, times in difference.items() if times}))


@dataclass(frozen=True)
class Record:
    """All regions of one run.

    Attributes:
        regions: By tag, every time that a region with this tag was executed.
        code: Disassembled instructions by address; empty unless the plugin was asked for them.
    """

    regions: dict[int, list[Region]]
    code: dict[int, str]

    @classmethod
    def parse(cls, text: str) -> Record:
        """Read what the plugin wrote; its format is in the head of plugin.c."""
        regions: dict[int, list[Region]] = {}
        code: dict[int, str] = {}
        region = Region()
        for line in text.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "region":
                region = Region()
                regions.setdefault(int(rest), []).append(region)
            elif kind == "block":
                address, length, times = rest.split()
                region.executions[Block(int(address, 16), int(length))] += int(times)
            elif kind == "code":
                address, _, instruction = rest.partition(" ")
                code[int(address, 16)] = disassembled(instruction.strip())
        return cls(regions, code)

    def least(self, tag: int) -> Region:
        """The execution of a region with the fewest instructions.

        Between the marks lie Python and memory allocation, whose work depends on what was done before. What they do
        more than the least has nothing to do with what is counted.
        """
        return min(self.regions[tag], key=lambda region: region.instructions)

    def mix(self, region: Region) -> Counter[str]:
        """Executed instructions by mnemonic."""
        mix: Counter[str] = Counter()
        for block, times in region.executions.items():
            for instruction in self.instructions(block):
                mix[mnemonic(instruction)] += times
        return mix

    def instructions(self, block: Block) -> Iterator[str]:
        """The instructions of a block, disassembled; "?" where the plugin was not asked for them."""
        for address in range(block.address, block.end, 4):
            yield self.code.get(address, "?")

    def hottest(self, region: Region, count: int) -> list[tuple[Block, int]]:
        """The stretches of code in which most instructions were executed, and how often each was.

        qemu's blocks end after so many instructions; those that follow one another and were executed equally often are
        one stretch.
        """
        stretches: list[tuple[Block, int]] = []
        for block, times in sorted(region.executions.items(), key=lambda item: item[0].address):
            before, before_times = stretches[-1] if stretches else (Block(0, 0), 0)
            if before.end == block.address and before_times == times:
                stretches[-1] = Block(before.address, before.length + block.length), times
            else:
                stretches.append((block, times))
        return sorted(stretches, key=lambda item: -item[0].length * item[1])[:count]
