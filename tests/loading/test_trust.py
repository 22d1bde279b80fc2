from __future__ import annotations

import argparse
import os
import pickle
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from dwca_export.block import DWCABlock
from dwca_export.errors import InputRefusedError
from dwca_export.loading.source import Request
from dwca_export.loading.unpickle import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

# A package of the user: layers, data, and what must not be let in.
PACKAGE = """
import enum, os
from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from subprocess import Popen
from torch import nn
from torch.nn import Conv2d
import elsewhere
from elsewhere import Stranger

class Net(nn.Module):
    def __init__(self, marker=None):
        super().__init__()
        if marker: open(marker, "w").close()
        self.layer = nn.Linear(2, 2)
    def forward(self, x):
        return self.layer(x)
    class Inner(nn.Module):
        def forward(self, x):
            return x

class Mode(enum.Enum):
    FAST = 1

@dataclass
class Settings:
    width: int = 1
    def __post_init__(self):
        if isinstance(self.width, str): open(self.width, "w").close()

Pair = namedtuple("Pair", "a b")

class Names(SimpleNamespace):
    pass

class Greedy(SimpleNamespace):
    def __init__(self, marker=None):
        if marker: open(marker, "w").close()

class Closer:
    def __del__(self):
        if getattr(self, "marker", None): open(self.marker, "w").close()

class Restorer:
    def __setstate__(self, state):
        open(state["marker"], "w").close()

class Caller:
    def __call__(self, *args):
        return None

def build(marker=None):
    if marker: open(marker, "w").close()
    return Net()
"""


@pytest.fixture
def package(folder: Path) -> Any:
    (folder / "userpkg").mkdir()
    (folder / "userpkg" / "__init__.py").write_text("")
    (folder / "userpkg" / "nets.py").write_text(PACKAGE)
    (folder / "elsewhere.py").write_text("class Stranger:\n    pass\n")
    import importlib
    import sys

    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("userpkg.nets")
    finally:
        sys.path.remove(str(folder))


def read(file: Path, *trust: str, legacy: bool = False, trust_all: bool = False) -> Any:
    return read_checkpoint(Request(file, trust=trust, trust_all=trust_all), legacy=legacy)


def saved(folder: Path, value: object, **options: Any) -> Path:
    file = folder / "saved.pt"
    torch.save(value, file, **options)
    return file


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + len(raw).to_bytes(4, "little") + raw


def call(module: str, name: str, *arguments: str) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + b"".join(map(text, arguments)) + b"tR"


def pickled(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {shlex.quote(str(self.marker))}",)


# --- what is let in ---------------------------------------------------------------------------------------------


def test_a_state_dict_needs_no_trust(folder: Path) -> None:
    weights = nn.Conv2d(2, 3, 1).state_dict()
    loaded = read(saved(folder, weights))
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def test_torch_layers_and_blocks_load_with_trust(folder: Path) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        DWCABlock(16, 32),
        nn.Dropout(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 4),
    ).eval()
    image = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    for trust in (("torch.nn", "dwca_export"), ("torch", "dwca_export.block.DWCABlock")):
        loaded = read(saved(folder, network), *trust)
        assert torch.equal(loaded(image), network(image))


@pytest.mark.parametrize(
    "layer",
    [
        nn.LSTM(2, 3),
        nn.MultiheadAttention(4, 2),
        nn.TransformerEncoderLayer(4, 2, activation=nn.GELU()),
        nn.ModuleDict({"a": nn.ParameterList([nn.Parameter(torch.ones(2))])}),
        nn.DataParallel(nn.Conv2d(1, 1, 1)),
        nn.PReLU(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_with_a_state_of_their_own_load(folder: Path, layer: nn.Module) -> None:
    loaded = read(saved(folder, layer), "torch.nn")
    assert loaded.state_dict().keys() == layer.state_dict().keys()


def test_classes_of_the_users_own_package_load(folder: Path, package: Any) -> None:
    network = package.Net()
    loaded = read(saved(folder, network), "torch.nn", "userpkg")
    assert type(loaded) is package.Net
    assert torch.equal(loaded.layer.weight, network.layer.weight)


def test_a_class_in_a_file_of_the_current_folder_loads(folder: Path) -> None:
    (folder / "mynet.py").write_text("from torch import nn\nclass Mine(nn.Module):\n    pass\n")
    file = folder / "saved.pt"
    import subprocess
    import sys

    code = f"import torch, mynet; torch.save(mynet.Mine(), {str(file)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
    assert type(read(file, "mynet")).__name__ == "Mine"


def test_plain_data_of_a_trusted_package_loads(folder: Path, package: Any) -> None:
    value = {
        "mode": package.Mode.FAST,
        "settings": package.Settings(7),
        "pair": package.Pair(1, 2),
        "names": package.Names(x=1),
    }
    assert read(saved(folder, value), "userpkg") == value


def test_values_of_numpy_and_python_load_with_trust(folder: Path) -> None:
    value = {"best": np.float64(0.5), "count": np.int64(3), "path": Path("a/b"), "args": argparse.Namespace(lr=0.1)}
    loaded = read(saved(folder, {**value, "mean": np.ones(3, np.float32)}), "numpy", "pathlib", "argparse")
    assert {key: loaded[key] for key in value} == value
    assert loaded["mean"].tolist() == [1, 1, 1]


def test_trust_ends_with_the_load(folder: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    read(saved(folder, nn.Linear(2, 2)), "torch.nn")
    assert set(torch.serialization.get_safe_globals()) == before


# --- what is refused, and how -----------------------------------------------------------------------------------


def test_the_refusal_lists_all_classes_and_gives_the_command(folder: Path) -> None:
    file = folder / "my net é.pt"
    torch.save(nn.Sequential(nn.Conv2d(1, 1, 1), DWCABlock(8, 8)), file)
    with pytest.raises(InputRefusedError) as caught:
        read(file)
    assert "torch.nn.modules.conv.Conv2d" in caught.value.what
    assert "dwca_export.block.DWCABlock" in caught.value.what
    command = caught.value.hint.partition("dwca-export ")[2]
    assert shlex.split(command) == [str(file), "--trust", "dwca_export", "--trust", "torch.nn"]
    packages = [word for word in shlex.split(command)[1:] if word != "--trust"]
    assert isinstance(read(file, *packages), nn.Sequential)


def test_the_refusal_names_only_what_is_still_missing(folder: Path) -> None:
    file = saved(folder, nn.Sequential(DWCABlock(8, 8)))
    with pytest.raises(InputRefusedError) as caught:
        read(file, "torch.nn")
    assert "DWCABlock" in caught.value.what
    assert "Sequential" not in caught.value.what
    assert "--trust torch.nn --trust dwca_export" in caught.value.hint


def test_a_package_is_not_trusted_by_a_name_that_only_begins_alike(folder: Path, package: Any) -> None:
    with pytest.raises(InputRefusedError, match=r"userpkg\.nets\.Net"):
        read(saved(folder, package.Net()), "torch.nn", "userpk", "userpkg.net")


def test_a_class_of_a_script_is_refused_with_the_way_out(folder: Path, zip_of_pickle: Callable[[bytes], Path]) -> None:
    with pytest.raises(InputRefusedError, match="defined in a script") as caught:
        read(zip_of_pickle(pickled(b"c__main__\nNet\n)\x81")), "__main__")
    assert "state_dict" in caught.value.hint


def test_a_class_that_is_nowhere_is_refused(folder: Path, zip_of_pickle: Callable[[bytes], Path]) -> None:
    with pytest.raises(InputRefusedError, match=r"nowhere\.Net cannot be imported"):
        read(zip_of_pickle(pickled(b"cnowhere\nNet\n)\x81")), "nowhere")


def test_nothing_is_imported_before_it_is_trusted(folder: Path, zip_of_pickle: Callable[[bytes], Path]) -> None:
    (folder / "trap.py").write_text("open('imported', 'w').close()\nclass Net: pass\n")
    file = zip_of_pickle(pickled(b"ctrap\nNet\n)\x81"))
    with pytest.raises(InputRefusedError, match=r"trap\.Net"):
        read(file)
    assert not (folder / "imported").exists()
    read(file, "trap")
    assert (folder / "imported").exists()


def test_control_characters_in_a_name_do_not_reach_the_terminal(
    folder: Path, zip_of_pickle: Callable[[bytes], Path]
) -> None:
    with pytest.raises(InputRefusedError) as caught:
        read(zip_of_pickle(pickled(b"cevil\x1b[2J\nNet\n)\x81")))
    assert "\x1b" not in str(caught.value)


# --- malicious pickles must not run -----------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("trust", [(), ("torch",), ("posix", "os", "nt"), ("builtins",)], ids=str)
def test_a_planted_call_does_not_run(folder: Path, legacy: bool, trust: tuple[str, ...]) -> None:
    marker = folder / "ran"
    content = {"state_dict": nn.Linear(2, 2).state_dict(), "extra": Malicious(marker)}
    file = saved(folder, content, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputRefusedError, match=r"(posix|nt)\.system"):
        read(file, *trust, legacy=legacy)
    assert not marker.exists()
    read(file, trust_all=True, legacy=legacy)  # the plant is live, and --trust-all is what it says
    assert marker.exists()


@pytest.mark.parametrize("number", range(5))
def test_a_planted_call_in_any_pickle_of_a_legacy_file_does_not_run(folder: Path, number: int) -> None:
    marker = folder / "ran"
    file = saved(folder, nn.Linear(2, 2).state_dict(), _use_new_zipfile_serialization=False)
    parts = []
    with file.open("rb") as stream:
        for _ in range(5):
            start = stream.tell()
            pickle_end(stream)
            parts.append(file.read_bytes()[start : stream.tell()])
        rest = stream.read()
    parts[number] = pickle.dumps(Malicious(marker), 2)
    file.write_bytes(b"".join(parts) + rest)
    with pytest.raises(InputRefusedError):
        read(file, "torch", "os", "posix", legacy=True)
    assert not marker.exists()


def pickle_end(stream: Any) -> None:
    import pickletools

    for _ in pickletools.genops(stream):
        pass


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        ("torch.serialization", "os.system", ("touch ran",)),
        ("torch", "serialization.os.system", ("touch ran",)),
        ("torch.nn.modules.module", "torch.hub.os.system", ("touch ran",)),
        ("torch.nn.modules", "module.functools.partial", ("touch ran",)),
        ("torch.nn", "functional.importlib.import_module", ("ran",)),
        ("torch.nn.functional", "relu", ("ran",)),
        ("torch.nn.Module", "__class__", ("ran",)),
        ("torch.nn", "Module.__init__.__globals__", ("ran",)),
        ("torch.hub", "load", ("folder", "ran")),
        ("torch", "load", ("ran",)),
        ("torch.serialization", "load", ("ran",)),
        ("torch.storage", "_load_from_bytes", ("ran",)),
        ("torch.jit", "load", ("ran",)),
        ("torch.fx.graph_module", "reduce_graph_module", ("ran", "ran")),
        ("torch.fx.graph_module", "GraphModule", ("ran", "ran")),
        ("torch.utils.cpp_extension", "load_inline", ("ran", "ran")),
        ("torch.package", "PackageImporter", ("ran",)),
        ("torch._C", "PyTorchFileWriter", ("ran",)),
        ("builtins", "eval", ("open('ran', 'w')",)),
        ("builtins", "exec", ("open('ran', 'w')",)),
        ("builtins", "getattr", ("x", "y")),
        ("builtins", "open", ("ran", "w")),
        ("__builtin__", "eval", ("open('ran', 'w')",)),
        ("subprocess", "Popen", ("touch ran",)),
        ("pathlib", "os.system", ("touch ran",)),
        ("types", "FunctionType", ("x", "y")),
        ("functools", "partial", ("x",)),
        ("numpy", "load", ("ran",)),
        ("numpy", "f2py.os.system", ("touch ran",)),
        ("numpy.testing._private.utils", "runstring", ("open('ran', 'w')", "x")),
    ],
)
def test_no_trust_in_a_package_lets_its_functions_run(
    folder: Path, zip_of_pickle: Callable[[bytes], Path], module: str, name: str, arguments: tuple[str, ...]
) -> None:
    file = zip_of_pickle(pickled(call(module, name, *arguments)))
    root = module.partition(".")[0]
    with pytest.raises(InputRefusedError):
        read(file, "torch", "torch.nn", root, module, f"{module}.{name}", "builtins", "os", "numpy", "subprocess")
    assert not (folder / "ran").exists()
    assert [entry.name for entry in folder.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("build", "not a class"),
        ("Popen", "really subprocess.Popen"),
        ("Conv2d", "really torch.nn.modules.conv.Conv2d"),
        ("Stranger", "really elsewhere.Stranger"),
        ("Restorer", "behaviour of its own"),
        ("Closer", "behaviour of its own"),
        ("Caller", "behaviour of its own"),
        ("Net.Inner", "not a plain name"),
        ("Net.forward", "not a plain name"),
        ("os.system", "not a plain name"),
    ],
)
def test_a_trusted_package_brings_in_only_its_own_harmless_classes(
    folder: Path, package: Any, zip_of_pickle: Callable[[bytes], Path], name: str, reason: str
) -> None:
    body = b"cuserpkg.nets\n" + name.encode() + b"\n)\x81}" + text("marker") + text("ran") + b"sb"
    with pytest.raises(InputRefusedError, match=reason):
        read(zip_of_pickle(pickled(body)), "userpkg")
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("name", ["Net", "Settings", "Greedy", "Names.__class__"])
def test_no_constructor_of_a_trusted_class_runs(
    folder: Path, package: Any, zip_of_pickle: Callable[[bytes], Path], name: str
) -> None:
    with pytest.raises(InputRefusedError):
        read(zip_of_pickle(pickled(call("userpkg.nets", name, "ran"))), "userpkg", "torch")
    assert not (folder / "ran").exists()


def test_torch_does_not_run_a_constructor_on_behalf_of_a_pickle(
    folder: Path, package: Any, zip_of_pickle: Callable[[bytes], Path]
) -> None:
    net = b"cuserpkg.nets\nNet\n"
    body = b"ctorch._tensor\n_rebuild_from_type_v2\n(" + net + net + text("ran") + b"\x85}tR"
    with pytest.raises(InputRefusedError):
        read(zip_of_pickle(pickled(body)), "userpkg", "torch")
    assert not (folder / "ran").exists()
    # The plant is live: torch alone, told to trust the class, runs its constructor.
    with torch.serialization.safe_globals([package.Net]):
        torch.load(folder / "crafted.pt", weights_only=True)
    assert (folder / "ran").exists()


def test_a_constructor_is_not_reached_through_a_second_reference(
    folder: Path, package: Any, zip_of_pickle: Callable[[bytes], Path]
) -> None:
    body = b"cuserpkg.nets\nNet\nq\x00)\x81h\x00" + text("ran") + b"\x85R\x86"
    with pytest.raises(InputRefusedError, match="constructors"):
        read(zip_of_pickle(pickled(body)), "userpkg", "torch")
    assert not (folder / "ran").exists()


def test_a_namespace_of_a_trusted_package_may_not_run_a_constructor_of_its_own(package: Any) -> None:
    assert issubclass(package.Greedy, SimpleNamespace)  # so that the case above tests what it says


def test_a_whole_module_in_the_old_format_is_refused_with_the_way_out(folder: Path) -> None:
    file = saved(folder, nn.Linear(2, 2), _use_new_zipfile_serialization=False)
    with pytest.raises(InputRefusedError, match=r"before 1\.6") as caught:
        read(file, "torch.nn", legacy=True)
    assert "torch.save it again" in caught.value.hint


def test_an_unusual_protocol_is_refused_with_the_way_out(folder: Path) -> None:
    file = saved(folder, nn.Linear(2, 2).state_dict(), pickle_protocol=4)
    with pytest.raises(InputRefusedError, match="not as torch"):
        read(file)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_truncated_checkpoints_are_refused(folder: Path, legacy: bool) -> None:
    file = saved(folder, nn.Linear(20, 20).state_dict(), _use_new_zipfile_serialization=not legacy)
    whole = file.read_bytes()
    for part in range(1, 10):
        file.write_bytes(whole[: len(whole) * part // 10])
        with pytest.raises(InputRefusedError):
            read(file, legacy=legacy)
