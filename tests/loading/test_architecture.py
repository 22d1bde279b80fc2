from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from dwca_export.errors import InputRefusedError, UsageError
from dwca_export.loading.architecture import build, unwrap

if TYPE_CHECKING:
    from pathlib import Path

NETS = """
from __future__ import annotations
from dataclasses import dataclass
import torch
from torch import nn
from dwca_export.block import DWCABlock

@dataclass
class Config:
    width: int = 8

class Net(nn.Module):
    def __init__(self, width: int = 8):
        super().__init__()
        self.block = DWCABlock(Config(width).width, 8)
        self.register_buffer("noise", torch.rand(3), persistent=False)

def classifier(width: int = 8):
    return Net(width)

def nothing():
    return None

def needy(*, width: int):
    return Net(width)

def picky():
    raise ValueError("no such luck\\nsecond line")

def leaves():
    raise SystemExit(3)

CONSTANT = 3
"""


@pytest.fixture
def nets(folder: Path) -> Path:
    file = folder / "nets.py"
    file.write_text(NETS)
    return file


def test_a_factory_in_a_file_is_called(nets: Path) -> None:
    assert type(build("nets.py:classifier", {})).__name__ == "Net"
    assert build("nets.py:Net", {"width": 16}).block.dw_conv.in_channels == 16


def test_the_file_may_be_named_by_its_whole_path(nets: Path) -> None:
    assert type(build(f"{nets}:classifier", {})).__name__ == "Net"


def test_blanks_and_other_letters_in_the_path_do_not_matter(folder: Path) -> None:
    place = folder / "meine Netze" / "größe ü"
    place.mkdir(parents=True)
    (place / "mein netz.py").write_text(NETS)
    assert type(build("meine Netze/größe ü/mein netz.py:classifier", {})).__name__ == "Net"


def test_siblings_of_the_file_are_importable(folder: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "helper_of_nets.py").write_text("from torch import nn\n")
    (folder / "code" / "nets.py").write_text("from helper_of_nets import nn\ndef make(): return nn.ReLU()\n")
    assert isinstance(build("code/nets.py:make", {}), nn.ReLU)


def test_the_package_of_the_file_and_the_current_folder_are_importable(folder: Path) -> None:
    (folder / "mypkg" / "deep").mkdir(parents=True)
    for init in ("mypkg/__init__.py", "mypkg/deep/__init__.py"):
        (folder / init).write_text("")
    (folder / "mypkg" / "parts.py").write_text("from torch import nn\n")
    (folder / "besides.py").write_text("WIDTH = 3\n")
    source = "from ..parts import nn\nfrom mypkg.parts import nn as same\nfrom besides import WIDTH\n"
    (folder / "mypkg" / "deep" / "nets.py").write_text(source + "def make(): return nn.Linear(WIDTH, 1)\n")
    for arch in ("mypkg/deep/nets.py:make", "mypkg.deep.nets:make"):
        assert build(arch, {}).in_features == 3


def test_a_module_of_the_current_folder_and_an_installed_one_are_called(nets: Path) -> None:
    assert type(build("nets:classifier", {})).__name__ == "Net"
    assert build("torch.nn:Linear", {"in_features": 2, "out_features": 3}).out_features == 3


def test_the_search_path_is_as_before_afterwards(nets: Path) -> None:
    before = list(sys.path)
    build("nets.py:classifier", {})
    with pytest.raises(InputRefusedError):
        build("nets.py:picky", {})
    assert sys.path == before


def test_files_of_the_same_name_do_not_mix(folder: Path) -> None:
    for number in (1, 2):
        place = folder / f"run{number}"
        place.mkdir()
        (place / "nets.py").write_text(f"from torch import nn\ndef make(): return nn.Linear({number}, 1)\n")
    widths = [build(f"run{number}/nets.py:make", {}).in_features for number in (1, 2, 1)]
    assert widths == [1, 2, 1]


def test_a_file_named_like_a_module_of_python_is_itself(folder: Path) -> None:
    (folder / "json.py").write_text("from torch import nn\ndef make(): return nn.ReLU()\n")
    assert isinstance(build("json.py:make", {}), nn.ReLU)
    assert hasattr(sys.modules["json"], "dumps")


def test_siblings_of_the_same_name_are_not_taken_for_each_other(folder: Path) -> None:
    for number in (1, 2):
        place = folder / f"run{number}"
        place.mkdir()
        (place / "shared_parts.py").write_text(f"WIDTH = {number}\n")
        source = "from torch import nn\nfrom shared_parts import WIDTH\ndef make(): return nn.Linear(WIDTH, 1)\n"
        (place / "nets.py").write_text(source)
    assert build("run1/nets.py:make", {}).in_features == 1
    with pytest.raises(InputRefusedError, match="shared_parts is another module"):
        build("run2/nets.py:make", {})


def test_packages_of_the_same_name_are_not_taken_for_each_other(folder: Path) -> None:
    for number in (1, 2):
        place = folder / f"run{number}" / "samepkg"
        place.mkdir(parents=True)
        (place / "__init__.py").write_text("")
        (place / "nets.py").write_text("from torch import nn\ndef make(): return nn.ReLU()\n")
    build("run1/samepkg/nets.py:make", {})
    with pytest.raises(InputRefusedError, match="another module"):
        build("run2/samepkg/nets.py:make", {})


def test_what_the_checkpoint_does_not_hold_is_the_same_every_time(nets: Path) -> None:
    state = torch.random.get_rng_state()
    first, second = build("nets.py:Net", {}), build("nets.py:Net", {})
    assert torch.equal(first.noise, second.noise)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("arch", ["nets.py", "nets.py:", ":classifier", "classifier", ""])
def test_a_name_without_factory_is_a_usage_error(nets: Path, arch: str) -> None:
    with pytest.raises(UsageError, match="names no factory") as caught:
        build(arch, {})
    assert "models/nets.py:classifier" in caught.value.hint


@pytest.mark.parametrize("arch", ["no.py:make", "no_such_package.nets:make", "torch.no_such_module:make"])
def test_a_file_or_module_that_is_not_there_is_a_usage_error(folder: Path, arch: str) -> None:
    with pytest.raises(UsageError, match="there is no"):
        build(arch, {})


def test_a_misspelt_factory_is_proposed(nets: Path) -> None:
    with pytest.raises(UsageError) as caught:
        build("nets.py:clasifier", {})
    assert "did you mean classifier" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        build("nets.py:zzz", {})
    assert "Net" in caught.value.hint
    assert "DWCABlock" not in caught.value.hint  # imported there, not defined there


def test_a_factory_that_cannot_be_called_is_a_usage_error(nets: Path) -> None:
    with pytest.raises(UsageError, match="is a int"):
        build("nets.py:CONSTANT", {})


@pytest.mark.parametrize(
    ("name", "arguments", "what"),
    [
        ("picky", {}, "ValueError: no such luck"),
        ("leaves", {}, "SystemExit"),
        ("nothing", {}, "returned a NoneType"),
        ("Config", {}, "returned a Config"),
    ],
)
def test_a_factory_that_fails_is_named_with_its_error(
    nets: Path, name: str, arguments: dict[str, object], what: str
) -> None:
    with pytest.raises(InputRefusedError, match=what) as caught:
        build(f"nets.py:{name}", arguments)
    assert f"nets.py:{name}" in caught.value.what
    assert "\n" not in caught.value.what


def test_arguments_that_a_factory_does_not_take_are_a_usage_error(nets: Path) -> None:
    with pytest.raises(UsageError, match=r"depth=3.*unexpected keyword argument 'depth'") as caught:
        build("nets.py:classifier", {"depth": 3})
    assert caught.value.where == "--arch-args"
    assert "width" in caught.value.hint
    with pytest.raises(UsageError, match="missing a required"):
        build("nets.py:needy", {})


@pytest.mark.parametrize(
    "source", ["def broken(:\n", "import no_such_package_at_all\n", "raise SystemExit\n", "1 / 0\n"]
)
def test_a_file_that_cannot_be_imported_is_refused_and_forgotten(folder: Path, source: str) -> None:
    (folder / "broken.py").write_text(source)
    with pytest.raises(InputRefusedError, match="cannot be imported"):
        build("broken.py:make", {})
    assert "broken" not in sys.modules


def test_wrappers_of_training_are_taken_off() -> None:
    network = nn.Linear(1, 1)
    assert unwrap(nn.DataParallel(torch.compile(network))) is network
    assert unwrap(network) is network
    named_alike = nn.Module()
    named_alike.module = network
    assert unwrap(named_alike) is named_alike
