from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dwca_export.loading.text import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Callable


@given(st.text())
def test_whatever_comes_is_one_printable_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert one_line(ValueError(text)).isprintable()


def test_ordinary_text_stays_as_it_is() -> None:
    assert printable("größe/netz.pt") == "größe/netz.pt"
    assert printable("x" * 1000).endswith("...")
    assert one_line(ValueError("first\nsecond")) == "ValueError: first"
    assert one_line(KeyError()) == "KeyError"


class Particular(nn.Module):
    """Refuses what TorchScript does not, and has a layer that refuses the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2:
            raise ValueError("two axes, please\nhint: a second line")
        return self.head(x)


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize("record", [torch.jit.script, lambda module: torch.jit.trace(module, torch.zeros(1, 4))])
def test_the_error_inside_torchscript_is_the_one_that_is_said(record: Callable[[nn.Module], nn.Module]) -> None:
    with pytest.raises(RuntimeError, match="TorchScript interpreter") as caught:
        record(Particular())(torch.zeros(1, 5))
    assert one_line(caught.value) == "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x5 and 4x2)"


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_an_error_that_torchscript_raises_itself() -> None:
    with pytest.raises(torch.jit.Error) as caught:
        torch.jit.script(Particular())(torch.zeros(1, 4, 1))
    assert one_line(caught.value) == "ValueError: two axes, please"


def test_a_message_about_torchscript_without_its_traceback_stays() -> None:
    text = "The following operation failed in the TorchScript interpreter."
    assert one_line(RuntimeError(text)) == f"RuntimeError: {text}"
