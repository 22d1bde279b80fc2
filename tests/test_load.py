from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest
import torch
from torch import nn

from dwca_export.errors import InputRefusedError, UsageError
from dwca_export.load import load

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = Path(__file__).parent.parent
NETS = """
from torch import nn
from dwca_export.block import DWCABlock

def classifier(width=8, classes=4):
    return nn.Sequential(nn.Conv2d(3, width, 3, bias=False), nn.BatchNorm2d(width), DWCABlock(width, width),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
"""
IMAGE = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
ARCH = "my nets.py:classifier"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my nets.py").write_text(NETS)
    yield tmp_path
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


@pytest.fixture
def trained() -> nn.Module:
    scope: dict[str, Any] = {}
    exec(NETS, scope)  # noqa: S102 - the same source as in the file
    torch.manual_seed(7)
    network: nn.Module = scope["classifier"]()
    network(torch.randn(4, 3, 16, 16))  # so that the running statistics are not the initial ones
    return network.eval()


def agrees(loaded: Any, trained: nn.Module) -> bool:
    return torch.equal(loaded.eval()(IMAGE), trained(IMAGE))


# --- one test per kind of file ----------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True])
def test_a_state_dict(place: Path, trained: nn.Module, legacy: bool) -> None:
    torch.save(trained.state_dict(), place / "net é.pt", _use_new_zipfile_serialization=not legacy)
    loaded = load(Path("net é.pt"), arch=ARCH)
    assert loaded.kind == "state_dict"
    assert agrees(loaded.model, trained)
    assert loaded.sha256 == hashlib.sha256((place / "net é.pt").read_bytes()).hexdigest()
    assert loaded.shapes is None
    assert loaded.notes == ()


def test_a_checkpoint_of_a_training_loop(place: Path, trained: nn.Module) -> None:
    averaged = {f"module._orig_mod.{name}": value.half() for name, value in trained.state_dict().items()}
    raw = {name: torch.zeros_like(value) for name, value in trained.state_dict().items()}
    torch.save({"model": raw, "ema": {"module": averaged}, "epoch": 9, "imgsz": 32}, place / "last.ckpt")
    loaded = load(Path("last.ckpt"), arch=ARCH)
    assert torch.allclose(loaded.model.eval()(IMAGE), trained(IMAGE), atol=1e-2)
    assert loaded.shapes == ((1, 3, 32, 32),)
    assert loaded.shapes_from == "checkpoint"
    notes = " | ".join(loaded.notes)
    assert "averaged (EMA) weights taken from 'ema' instead of the raw ones in 'model'" in notes
    assert "prefixes removed from the weights' names: module. _orig_mod." in notes
    assert "float16 weights converted to float32" in notes


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_whole_module(place: Path, trained: nn.Module, wrapped: bool) -> None:
    torch.save({"model": nn.DataParallel(trained).half(), "epoch": 1} if wrapped else trained, place / "net.pt")
    trained.float()
    loaded = load(Path("net.pt"), trust=["torch.nn", "dwca_export"])
    assert loaded.kind == "module"
    assert type(loaded.model) is nn.Sequential
    assert wrapped or agrees(loaded.model, trained)
    assert loaded.notes == (("float16 weights converted to float32",) if wrapped else ())


def test_torchscript(place: Path, trained: nn.Module) -> None:
    torch.jit.trace(trained, IMAGE).save("net.pt")
    loaded = load(Path("net.pt"))
    assert loaded.kind == "torchscript"
    assert agrees(loaded.model, trained)


def test_an_exported_program(place: Path, trained: nn.Module) -> None:
    torch.export.save(torch.export.export(trained, (IMAGE,)), "net.pt2")
    loaded = load(Path("net.pt2"))
    assert loaded.kind == "exported_program"
    assert torch.equal(loaded.model.module()(IMAGE), trained(IMAGE))
    assert (loaded.shapes, loaded.shapes_from) == (((1, 3, 16, 16),), "exported program")


def test_onnx(place: Path) -> None:
    torch.onnx.export(nn.Conv2d(3, 4, 3).eval(), (IMAGE,), "net.onnx", dynamo=False)
    loaded = load(Path("net.onnx"))
    assert loaded.kind == "onnx"
    assert isinstance(loaded.model, onnx.ModelProto)
    assert (loaded.shapes, loaded.shapes_from) == (((1, 3, 16, 16),), "onnx")


def write_safetensors(file: Path, weights: dict[str, torch.Tensor]) -> None:
    header, data = {}, b""
    for name, value in weights.items():
        raw = value.numpy().tobytes()
        dtype = {torch.float32: "F32", torch.int64: "I64"}[value.dtype]
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_safetensors(place: Path, trained: nn.Module) -> None:
    pytest.importorskip("safetensors")
    write_safetensors(place / "net.safetensors", trained.state_dict())
    loaded = load(Path("net.safetensors"), arch=ARCH)
    assert loaded.kind == "state_dict"
    assert agrees(loaded.model, trained)
    with pytest.raises(InputRefusedError, match="state dict"):
        load(Path("net.safetensors"))
    whole = (place / "net.safetensors").read_bytes()
    (place / "net.safetensors").write_bytes(whole[:-1])
    with pytest.raises(InputRefusedError, match="damaged"):
        load(Path("net.safetensors"), arch=ARCH)


def test_safetensors_without_its_package_says_what_to_install(place: Path, trained: nn.Module) -> None:
    try:
        import safetensors  # noqa: F401
    except ImportError:
        write_safetensors(place / "net.safetensors", trained.state_dict())
        with pytest.raises(InputRefusedError) as caught:
            load(Path("net.safetensors"), arch=ARCH)
        assert "pip install safetensors" in caught.value.hint
    else:
        pytest.skip("safetensors is installed")


# --- architecture -----------------------------------------------------------------------------------------------


def test_a_state_dict_without_arch_is_refused_and_says_what_it_is(place: Path, trained: nn.Module) -> None:
    torch.save(trained.state_dict(), place / "net.pt")
    with pytest.raises(InputRefusedError, match="state dict") as caught:
        load(Path("net.pt"))
    assert "--arch" in caught.value.hint
    assert caught.value.where == "load: net.pt"


def test_the_arch_that_a_checkpoint_names_is_proposed_and_not_imported(place: Path, trained: nn.Module) -> None:
    (place / "trap.py").write_text("open('imported', 'w').close()\n" + NETS)
    content = {"state_dict": trained.state_dict(), "arch": "trap.py:classifier", "arch_args": {"width": 8}}
    torch.save(content, place / "net.pt")
    with pytest.raises(InputRefusedError) as caught:
        load(Path("net.pt"))
    assert not (place / "imported").exists()
    words = shlex.split(caught.value.hint.partition("dwca-export ")[2])
    assert words == ["net.pt", "--arch", "trap.py:classifier", "--arch-args", '{"width": 8}']
    assert agrees(load(Path(words[0]), arch=words[2], arch_args=json.loads(words[4])).model, trained)


@pytest.mark.parametrize("arch", ["mobilenetv3_small_050", "x\x1b[2J:y", 7, None])
def test_what_is_no_factory_is_not_proposed_as_one(place: Path, trained: nn.Module, arch: object) -> None:
    torch.save({"state_dict": trained.state_dict(), "arch": arch}, place / "net.pt")
    with pytest.raises(InputRefusedError) as caught:
        load(Path("net.pt"))
    assert "models/nets.py:classifier" in caught.value.hint
    assert "\x1b" not in str(caught.value)


def test_arguments_of_the_checkpoint_are_used_and_noted(place: Path) -> None:
    scope: dict[str, Any] = {}
    exec(NETS, scope)  # noqa: S102
    weights = scope["classifier"](width=16).state_dict()
    torch.save({"state_dict": weights, "arch_args": {"width": 16}}, place / "net.pt")
    loaded = load(Path("net.pt"), arch=ARCH)
    assert loaded.notes == ('--arch-args taken from the checkpoint: {"width": 16}',)
    with pytest.raises(InputRefusedError, match="do not fit"):
        load(Path("net.pt"), arch=ARCH, arch_args={})
    assert load(Path("net.pt"), arch=ARCH, arch_args={"width": 16}).notes == ()


@pytest.mark.parametrize("arguments", [[1], {"width": torch.zeros(1)}])
def test_arguments_that_are_not_plain_are_refused(place: Path, trained: nn.Module, arguments: object) -> None:
    torch.save({"state_dict": trained.state_dict(), "arch_args": arguments}, place / "net.pt")
    with pytest.raises(InputRefusedError, match="not plain"):
        load(Path("net.pt"), arch=ARCH)


def test_arch_is_refused_where_the_file_holds_the_network(place: Path, trained: nn.Module) -> None:
    torch.save(trained, place / "net.pt")
    with pytest.raises(UsageError, match="whole module"):
        load(Path("net.pt"), arch=ARCH, trust=["torch.nn", "dwca_export"])
    torch.jit.trace(trained, IMAGE).save("net.ts")
    with pytest.raises(UsageError, match="whole network"):
        load(Path("net.ts"), arch=ARCH)
    with pytest.raises(UsageError, match="needs --arch"):
        load(Path("net.ts"), arch_args={"width": 8})


def test_the_reference_networks_load_as_a_user_names_them(tmp_path: Path) -> None:
    code = (
        "import sys, torch; from pathlib import Path; from models import nets; from dwca_export.load import load\n"
        "file = Path(sys.argv[1]); torch.save(nets.classifier(width=0.25).state_dict(), file)\n"
        "print(load(file, arch='models/nets.py:classifier', arch_args={'width': 0.25}).kind)\n"
        "print(load(file, arch='models.nets:classifier', arch_args={'width': 0.25}).kind)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(tmp_path / "net.pt")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.stdout.split() == ["state_dict", "state_dict"]


# --- card -------------------------------------------------------------------------------------------------------


def test_the_card_gives_the_shape(place: Path, trained: nn.Module) -> None:
    torch.save({"state_dict": trained.state_dict(), "shape": [1, 3, 8, 8]}, place / "net.pt")
    sha256 = hashlib.sha256((place / "net.pt").read_bytes()).hexdigest()
    (place / "net.card.json").write_text(json.dumps({"sha256": sha256, "input": {"shape": [1, 3, 20, 24]}}))
    loaded = load(Path("net.pt"), arch=ARCH)
    assert (loaded.shapes, loaded.shapes_from) == (((1, 3, 20, 24),), "card")
    assert loaded.card["sha256"] == sha256


def test_the_card_of_another_file_is_refused(place: Path, trained: nn.Module) -> None:
    torch.save(trained.state_dict(), place / "net.pt")
    (place / "net.card.json").write_text(json.dumps({"sha256": "0" * 64}))
    with pytest.raises(InputRefusedError, match="another file"):
        load(Path("net.pt"), arch=ARCH)


# --- refusals ---------------------------------------------------------------------------------------------------


def test_weights_that_are_not_finite_are_refused(place: Path, trained: nn.Module) -> None:
    weights = trained.state_dict()
    weights["5.bias"][2] = float("nan")
    torch.save(weights, place / "net.pt")
    with pytest.raises(InputRefusedError, match=r"5\.bias is NaN"):
        load(Path("net.pt"), arch=ARCH)


class Malicious:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_malicious_checkpoint_does_not_run(place: Path, trained: nn.Module, legacy: bool) -> None:
    content = {"state_dict": trained.state_dict(), "extra": Malicious()}
    torch.save(content, place / "net.pt", _use_new_zipfile_serialization=not legacy)
    for trust in ([], ["torch", "posix", "os", "builtins", "dwca_export"]):
        with pytest.raises(InputRefusedError, match="system"):
            load(Path("net.pt"), arch=ARCH, trust=trust)
    assert not (place / "ran").exists()
    assert agrees(load(Path("net.pt"), arch=ARCH, trust_all=True).model, trained)
    assert (place / "ran").exists()


@pytest.mark.parametrize("package", ["", "torch nn", "torch.", ".nn", "--all", "*"])
def test_a_misspelt_package_is_a_usage_error(place: Path, package: str) -> None:
    with pytest.raises(UsageError, match="not a package name"):
        load(Path("net.pt"), trust=[package])


@pytest.mark.parametrize("content", [None, b"", b"text\n", b"PK\x03\x04 and no more", bytes(99)])
def test_what_is_no_model_file_is_refused_with_its_name(place: Path, content: bytes | None) -> None:
    if content is not None:
        (place / "net.pt").write_bytes(content)
    with pytest.raises(InputRefusedError) as caught:
        load(Path("net.pt"))
    assert caught.value.where == "load: net.pt"
    with pytest.raises(InputRefusedError):
        load(place)


def test_importing_the_hop_and_refusing_a_file_needs_neither_torch_nor_onnx(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom dwca_export.load import load\n"
        "try: load(Path('missing.pt'))\nexcept Exception as error: print(type(error).__name__)\n"
        "print([name for name in ('torch', 'onnx', 'numpy') if name in sys.modules])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.stdout.split("\n")[:2] == ["InputRefusedError", "[]"]


def test_reading_onnx_needs_no_torch(tmp_path: Path) -> None:
    torch.onnx.export(nn.Conv2d(3, 4, 3).eval(), (IMAGE,), str(tmp_path / "net.onnx"), dynamo=False)
    code = (
        "import sys\nfrom pathlib import Path\nfrom dwca_export.load import load\n"
        "print(load(Path('net.onnx')).kind, 'torch' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.stdout.split() == ["onnx", "False"]
