"""What a pickle would import and call, read from its opcodes; nothing is imported or called to find out.

The weights-only unpickler of torch decides itself what it lets a pickle do. This scan comes before it, so that the
user can be told all that a file asks for at once, and so that no constructor of a trusted class is called.
"""

from __future__ import annotations

import _compat_pickle
import pickletools
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

from dwca_export.errors import InputRefusedError
from dwca_export.loading.text import one_line

_MARK = object()


class Global(NamedTuple):
    """A class or function that a pickle names."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """Module and name, joined by a dot."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class PickleScan:
    """What a pickle would do.

    Attributes:
        named: All globals that it names.
        called: Those of them that it calls with arguments of its own (as opposed to: makes bare instances of).
        opaque: Whether it also calls something of which the scan cannot say what it is.
    """

    named: frozenset[Global]
    called: frozenset[Global]
    opaque: bool


@dataclass
class _Machine:
    """The pickle machine with all values left out, except for globals and strings."""

    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    named: set[Global] = field(default_factory=set)
    called: set[Global] = field(default_factory=set)
    opaque: bool = False

    def step(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        name = opcode.name
        if name == "GLOBAL":
            self._push_global(*_split(argument))
        elif name == "STACK_GLOBAL":
            self._push_global(*_pop_strings(self.stack))
        elif name in {"PUT", "BINPUT", "LONG_BINPUT"}:
            self.memo[int(argument)] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in {"GET", "BINGET", "LONG_BINGET"}:
            self.stack.append(self.memo[int(argument)])
        elif name == "MARK":
            self.stack.append(_MARK)
        elif name in {"REDUCE", "NEWOBJ", "NEWOBJ_EX"}:
            self._call(opcode)
        elif name in {"INST", "OBJ", "EXT1", "EXT2", "EXT4"}:
            self.opaque = True  # never written by protocol 2 and up, and refused by the weights-only unpickler
            self._replace(opcode, None)
        else:
            self._replace(opcode, argument if isinstance(argument, str) else None)

    def _push_global(self, module: str, name: str) -> None:
        found = Global(*_modern(module, name))
        self.named.add(found)
        self.stack.append(found)

    def _call(self, opcode: pickletools.OpcodeInfo) -> None:
        function = self.stack[-len(opcode.stack_before)]
        if not isinstance(function, Global):
            self.opaque = True
        elif opcode.name == "REDUCE":
            self.called.add(function)
        self._replace(opcode, None)

    def _replace(self, opcode: pickletools.OpcodeInfo, value: Any) -> None:
        before = opcode.stack_before
        if pickletools.markobject in before:
            while self.stack.pop() is not _MARK:
                pass
            before = before[: before.index(pickletools.markobject)]
        for _ in before:
            self.stack.pop()
        self.stack.extend([value] * len(opcode.stack_after))


def scan(stream: IO[bytes]) -> PickleScan:
    """Read one pickle from where the stream stands to its end.

    Args:
        stream: A binary stream. Left behind the pickle.

    Returns:
        What the pickle would import and call.

    Raises:
        InputRefusedError: The pickle is truncated or damaged.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            machine.step(opcode, argument)
    except UnicodeDecodeError as error:  # pickletools reads names as ASCII before Python 3.14
        raise InputRefusedError(
            f"its pickle has text that cannot be read, a class name outside ASCII perhaps ({one_line(error)})",
            hint="save the weights alone, torch.save(model.state_dict(), ...), and name the network with --arch",
        ) from error
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError) as error:
        raise InputRefusedError(
            f"the file is truncated or damaged ({one_line(error)})", hint="copy or download it again"
        ) from error
    return PickleScan(frozenset(machine.named), frozenset(machine.called), machine.opaque)


def _split(argument: str) -> tuple[str, str]:
    # pickletools joins the two lines by a blank; a name that holds one itself is a trap.
    module, name = argument.split(" ")
    return module, name


def _pop_strings(stack: list[Any]) -> tuple[str, str]:
    name, module = stack.pop(), stack.pop()
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a global is named by something that is not a string")
    return module, name


def _modern(module: str, name: str) -> tuple[str, str]:
    """Translate the names of Python 2, which protocol 2 writes to this day, as every unpickler does."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name
