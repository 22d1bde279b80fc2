"""Options that several commands have: written once, as a dataclass, and taken as one parameter."""

from __future__ import annotations

import functools
import inspect
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable


def with_group(command: Callable[..., int]) -> Callable[..., int]:
    """A command with an option for each field of its group, as typer reads it.

    Args:
        command: Its last parameter, `*, name: Group`, is the group: a frozen dataclass, whose fields are annotated as
            a command's parameters are, and have defaults.

    Returns:
        The command with the fields in place of that parameter.
    """
    signature = inspect.signature(command, eval_str=True)
    *own, group = signature.parameters.values()
    hints = get_type_hints(group.annotation, include_extras=True)
    members = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(group.annotation)
    ]

    @functools.wraps(command)
    def expanded(*args: Any, **values: Any) -> int:
        given = {member.name: values.pop(member.name) for member in members if member.name in values}
        return command(*args, **values, **{group.name: group.annotation(**given)})

    expanded.__signature__ = signature.replace(parameters=[*own, *members])  # type: ignore[attr-defined]
    return expanded
