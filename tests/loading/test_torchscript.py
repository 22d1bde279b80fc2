from __future__ import annotations

import os
import pickle
import zipfile
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from dwca_export.errors import InputRefusedError
from dwca_export.loading.source import Request, Source
from dwca_export.loading.torchscript import read_torchscript

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")


class Saver(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "ran")
        return x


class Mapper(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.from_file("ran", True, 4)


class SavesOnLoading(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> bool:
        return self.training

    @torch.jit.export
    def __setstate__(self, state: bool) -> None:
        self.training = state
        torch.save(torch.ones(1), "ran")


def read(file: Path, *, trust_all: bool = False) -> Source:
    return read_torchscript(Request(file, trust_all=trust_all))


def traced(network: nn.Module, file: Path) -> Path:
    torch.jit.trace(network.eval(), torch.zeros(1, 3, 8, 8)).save(str(file))
    return file


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Hardswish())


@pytest.mark.parametrize("scripted", [False, True])
def test_a_network_loads_and_computes_the_same(folder: Path, scripted: bool) -> None:
    original, image = network().eval(), torch.randn(1, 3, 8, 8)
    file = traced(original, folder / "net ü.ts")
    if scripted:
        torch.jit.script(original).save(str(file))
    source = read(file)
    assert source.kind == "torchscript"
    assert isinstance(source.model, torch.jit.ScriptModule)
    assert torch.equal(source.model(image), original(image))
    assert source.notes == ()


def test_half_precision_is_widened_with_a_note(folder: Path) -> None:
    original = network().half().eval()
    file = folder / "net.ts"
    torch.jit.script(original).save(str(file))
    source = read(file)
    assert source.notes == ("float16 weights converted to float32",)
    assert source.model(torch.zeros(1, 3, 8, 8)).dtype == torch.float32


@pytest.mark.parametrize("harmful", [Saver, Mapper, SavesOnLoading])
def test_code_that_reaches_files_is_refused_and_does_not_run(folder: Path, harmful: type[nn.Module]) -> None:
    file = folder / "net.ts"
    torch.jit.script(harmful()).save(str(file))
    (folder / "ran").unlink(missing_ok=True)
    with pytest.raises(InputRefusedError, match="reaches files"):
        read(file)
    assert not (folder / "ran").exists()
    read(file, trust_all=True).model(torch.zeros(4))  # the plant is live
    assert (folder / "ran").exists()


def test_a_pickle_planted_in_the_archive_does_not_run(folder: Path) -> None:
    class Malicious:
        def __reduce__(self) -> object:
            return os.system, ("touch ran",)

    whole = traced(network(), folder / "whole.ts")
    for target in ("data.pkl", "constants.pkl"):
        planted = folder / "planted.ts"
        with zipfile.ZipFile(whole) as source, zipfile.ZipFile(planted, "w") as copy:
            for name in source.namelist():
                plant = name.endswith(f"/{target}")
                copy.writestr(name, pickle.dumps(Malicious(), 2) if plant else source.read(name))
        with pytest.raises(InputRefusedError):
            read(planted)
        assert not (folder / "ran").exists()


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    broken = network()
    broken[0].weight.data[0] = float("nan")
    with pytest.raises(InputRefusedError, match=r"0\.weight is NaN"):
        read(traced(broken, folder / "net.ts"))


def test_a_damaged_archive_is_refused(folder: Path) -> None:
    file = traced(network(), folder / "net.ts")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputRefusedError, match="damaged"):
        read(file)
