from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from dwca_export.block import DWCABlock
from dwca_export.errors import InputRefusedError
from dwca_export.loading.pt2 import read_pt2
from dwca_export.loading.source import Request, Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")

IMAGE = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
SIZED = torch.randn(2, 3, 17, 16, generator=torch.Generator().manual_seed(0))


class Outputs(nn.Module):
    """Uses what exported programs have besides plain operators."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.register_buffer("bias", torch.ones(1), persistent=False)

    def forward(self, x: torch.Tensor, mode: str = "bilinear") -> dict[str, Any]:
        with torch.no_grad():
            y = self.conv(x)
        z = torch.einsum("bchw,bdhw->bcd", y, y)
        y = nn.functional.interpolate(y, scale_factor=2, mode=mode) + torch.tensor([1.0, 2.0]).sum()
        return {"boxes": y, "rest": (z, [x.mean((2, 3)) + self.bias])}


class Sized(nn.Module):
    """Computes with symbolic sizes, so that the program has expressions and guards."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        height, width = x.shape[2:]
        padded = nn.functional.pad(x, (0, width % 2, 0, height % 2))
        flat = padded.view(padded.shape[0], -1)[:, : height * width // 2]
        return flat, *torch.split(x, [height // 2, height - height // 2], 2)


def read(file: Path, *, trust_all: bool = False) -> Source:
    return read_pt2(Request(file, trust_all=trust_all))


def exported(network: nn.Module, file: Path, sizes: Any = None, image: torch.Tensor = IMAGE) -> Path:
    program = torch.export.export(network.eval(), (image,), dynamic_shapes=sizes)
    with file.open("wb") as stream:
        torch.export.save(program, stream)
    return file


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(nn.Conv2d(3, 4, 3), tmp_path_factory.mktemp("plain") / "net.pt2")


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    auto = torch.export.Dim.AUTO
    return exported(Sized(), tmp_path_factory.mktemp("sized") / "net.pt2", ({0: auto, 2: auto, 3: auto},), SIZED)


def tampered(file: Path, folder: Path, edit: Callable[[str, bytes], bytes | None]) -> Path:
    """Copy an archive, each record as `edit` gives it."""
    copy = folder / "tampered.pt2"
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            content = edit(name.partition("/")[2], source.read(name))
            if content is not None:
                target.writestr(name, content)
    return copy


def extended(file: Path, folder: Path, records: dict[str, bytes]) -> Path:
    """Copy an archive with further records."""
    copy = tampered(file, folder, lambda _, content: content)
    with zipfile.ZipFile(copy, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        for name, content in records.items():
            archive.writestr(f"{root}/{name}", content)
    return copy


def edited(file: Path, folder: Path, record: str, change: Callable[[Any], None]) -> Path:
    """Copy an archive with one of its JSON records changed."""

    def edit(name: str, content: bytes) -> bytes:
        if name != record:
            return content
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return tampered(file, folder, edit)


@pytest.mark.parametrize("name", ["net.pt2", "Netz ü"])
def test_a_program_loads_and_computes_the_same(folder: Path, name: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), DWCABlock(8, 8)).eval()
    source = read(exported(network, folder / name))
    assert source.kind == "exported_program"
    assert source.shapes == ((1, 3, 16, 16),)
    assert source.shapes_from == "exported program"
    assert torch.equal(source.model.module()(IMAGE), network(IMAGE))


def test_a_program_with_strings_dicts_and_no_grad_loads(folder: Path) -> None:
    network = Outputs()
    result = read(exported(network, folder / "net.pt2")).model.module()(IMAGE)
    assert torch.equal(result["boxes"], network(IMAGE)["boxes"])
    assert torch.equal(result["rest"][1][0], network(IMAGE)["rest"][1][0])


def test_a_program_for_any_size_loads(sized: Path) -> None:
    program = read(sized).model
    assert program._guards_code  # so that the plants below have something to sit in
    image = torch.randn(3, 3, 9, 12)
    assert all(torch.equal(a, b) for a, b in zip(program.module()(image), Sized()(image), strict=True))


def test_the_switch_of_torch_is_as_before_afterwards(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read(plain)
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0")
    read(plain)
    assert os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] == "0"


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    network = nn.Conv2d(3, 4, 3)
    network.bias.data[1] = float("inf")
    with pytest.raises(InputRefusedError, match="bias is infinite"):
        read(exported(network, folder / "net.pt2"))


def test_half_precision_is_noted(folder: Path) -> None:
    file = exported(nn.Conv2d(3, 4, 3).half(), folder / "net.pt2", image=IMAGE.half())
    assert "half precision" in read(file).notes[0]


def test_a_damaged_archive_is_refused(folder: Path, plain: Path) -> None:
    whole = plain.read_bytes()
    file = folder / "net.pt2"
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputRefusedError, match="damaged"):
        read(file)
    for missing in ("models/model.json", "data/weights/weight_0", "archive_version", "data/sample_inputs/model.pt"):
        with pytest.raises(InputRefusedError):
            read(tampered(plain, folder, lambda name, content, gone=missing: None if name == gone else content))


# --- what would run is refused ----------------------------------------------------------------------------------


class Malicious:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


def pickled() -> bytes:
    stream = io.BytesIO()
    torch.save((Malicious(),), stream)
    return stream.getvalue()


def refused(file: Path, match: str) -> None:
    with pytest.raises(InputRefusedError, match=match) as caught:
        read(file)
    assert "--trust-all" in caught.value.hint
    assert not (file.parent / "ran").exists()


def live(file: Path) -> None:
    """Show that the plant would have run."""
    with contextlib.suppress(Exception):
        torch.export.load(file)
    assert (file.parent / "ran").exists()


def test_sample_inputs_are_unpickled_carefully(folder: Path, plain: Path) -> None:
    def edit(name: str, content: bytes) -> bytes:
        return pickled() if name.startswith("data/sample_inputs/") else content

    file = tampered(plain, folder, edit)
    with pytest.raises(InputRefusedError):
        read(file)
    assert not (folder / "ran").exists()
    live(file)


def test_a_pickled_weight_is_refused(folder: Path, plain: Path) -> None:
    def edit(name: str, content: bytes) -> bytes:
        if name == "data/weights/weight_0":
            return pickled()
        return content.replace(b'"use_pickle": false', b'"use_pickle": true')

    file = tampered(plain, folder, edit)
    refused(file, "a pickled object")
    live(file)


@pytest.mark.parametrize("record", ["data/weights/model.pt", "data/constants/model.pt"])
def test_weights_of_the_first_format_are_refused(folder: Path, plain: Path, record: str) -> None:
    file = extended(plain, folder, {record: pickled()})
    refused(file, "pickled weights")
    live(file)


def test_a_pickled_constant_is_refused(folder: Path, plain: Path) -> None:
    def change(document: Any) -> None:
        entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": False, "tensor_meta": None}
        document["config"]["c"] = entry

    file = edited(plain, folder, "data/constants/model_constants_config.json", change)
    refused(file, "other than tensors: opaque_obj_0")


@pytest.mark.parametrize("record", ["data/aotinductor/model/net.wrapper.so", "extra/lib.so", "data/executorch/x"])
def test_a_library_is_refused(folder: Path, plain: Path, record: str) -> None:
    refused(extended(plain, folder, {record: b"\x7fELF"}), "a library")


def graph(document: Any) -> Any:
    return document["graph_module"]["graph"]


@pytest.mark.parametrize(
    "target",
    [
        "torch.hub.load",
        "torch.serialization.os.system",
        "torch.ops.load_library",
        "torch.ops.aten.save.default",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.__class__.default",
        "torch.ops.aten.add.__class__",
        "torch.ops.aten.add.default.__call__",
        "torch.ops.__dict__.x.y",
        "torch.ops.higher_order.run_const_graph",
        "_operator.methodcaller",
        "_operator.attrgetter",
        "_operator.call",
        "math.__loader__.load_module",
        "#ext:op",
        "anything",
    ],
)
def test_an_operator_that_is_not_a_tensor_librarys_is_refused(folder: Path, plain: Path, target: str) -> None:
    def change(document: Any) -> None:
        graph(document)["nodes"][0]["target"] = target

    refused(edited(plain, folder, "models/model.json", change), "an operator")


def test_an_operator_handed_to_an_operator_is_checked(folder: Path, plain: Path) -> None:
    def change(document: Any) -> None:
        graph(document)["nodes"][0]["inputs"][0]["arg"] = {"as_operator": "torch.hub.load"}

    refused(edited(plain, folder, "models/model.json", change), "an operator")


CODE = "__import__('os').system('touch ran')"


def test_code_in_a_symbolic_size_is_refused(folder: Path, sized: Path) -> None:
    def change(document: Any) -> None:
        graph(document)["tensor_values"]["x"]["sizes"][2]["as_expr"]["expr_str"] = CODE

    file = edited(sized, folder, "models/model.json", change)
    refused(file, "a symbolic size")
    live(file)


@pytest.mark.parametrize(
    "text",
    [
        "sympify('1')",
        "lambdify((), '1')",
        "Symbol('s0).__class__')",
        "Integer(1).__class__",
        "(lambda: 1)()",
        "[x for x in (1,)]",
        "Integer(1)[0]",
        "Symbol(f'{1}')",
        "1j",
        "Mul(s0, t)",
        "\uff53\uff590",
        "s0 +",
        "",
    ],
)
@pytest.mark.parametrize("place", ["size", "range"])
def test_sizes_are_arithmetic_only(folder: Path, sized: Path, text: str, place: str) -> None:
    def change(document: Any) -> None:
        if place == "size":
            graph(document)["tensor_values"]["x"]["sizes"][2]["as_expr"]["expr_str"] = text
        else:
            document["range_constraints"][text] = {"min_val": 1, "max_val": 2}

    refused(edited(sized, folder, "models/model.json", change), "a symbolic size")


@pytest.mark.parametrize(
    "text",
    [
        CODE,
        f"L['x'].size()[2] > 1 or {CODE}",
        "L['x'].__class__",
        "L['x'].size()[2] > (lambda: 1)()",
        "torch.ops",
        "math.__loader__",
        "L['x'].resize_(1)",
        "L['a\"b'].size()[0] > 1",
        "(x := 3) > 2",
    ],
)
def test_guards_compare_sizes_only(folder: Path, sized: Path, text: str) -> None:
    def change(document: Any) -> None:
        document["guards_code"].append(text)

    file = edited(sized, folder, "models/model.json", change)
    refused(file, "a guard")
    if text == CODE:
        with contextlib.suppress(Exception):
            torch.export.load(file).module()(SIZED)
        assert (folder / "ran").exists()


@pytest.mark.parametrize("place", ["input", "node", "argument"])
def test_code_in_a_name_is_refused(folder: Path, plain: Path, place: str) -> None:
    name = f"x={CODE}"

    def change(document: Any) -> None:
        if place == "input":
            for entry in graph(document)["inputs"]:
                if entry["as_tensor"]["name"] == "input":
                    entry["as_tensor"]["name"] = name
        elif place == "node":
            graph(document)["nodes"][0]["name"] = name
        else:
            signature = document["graph_module"]["module_call_graph"][0]["signature"]
            signature["forward_arg_names"] = [name]

    refused(edited(plain, folder, "models/model.json", change), "no plain name")


def test_a_module_that_a_tree_names_is_not_imported(folder: Path, plain: Path) -> None:
    (folder / "trap_for_trees.py").write_text("open('ran', 'w').close()\n")
    sys.path.insert(0, str(folder))
    context = json.dumps({"__enum__": True, "fqn": "trap_for_trees:Net", "name": "X"})
    tree = [1, {"type": "builtins.dict", "context": context, "children_spec": []}]

    def change(document: Any) -> None:
        document["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = json.dumps(tree)

    file = edited(plain, folder, "models/model.json", change)
    try:
        refused(file, "inputs or outputs")
        live(file)
    finally:
        sys.path.remove(str(folder))


def test_another_kind_of_tree_is_refused(folder: Path, plain: Path) -> None:
    def change(document: Any) -> None:
        tree = [1, {"type": "torch.Size", "context": "null", "children_spec": []}]
        document["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps(tree)

    refused(edited(plain, folder, "models/model.json", change), "inputs or outputs")


def test_a_custom_object_is_refused(folder: Path, plain: Path) -> None:
    def change(document: Any) -> None:
        custom = {"as_custom_obj": {"name": "o", "class_fqn": "x.Y"}}
        graph(document)["nodes"][0]["inputs"][0]["arg"] = custom

    refused(edited(plain, folder, "models/model.json", change), "a custom object")


@pytest.mark.parametrize("key", ["metadata", "stack_trace", "as_string"])
def test_code_does_not_hide_under_a_key_that_is_free_text_elsewhere(folder: Path, sized: Path, key: str) -> None:
    def change(document: Any) -> None:
        sizes = graph(document)["tensor_values"]
        sizes[key] = {**sizes["x"], "sizes": [{"as_expr": {"expr_str": CODE, "hint": None}}]}

    refused(edited(sized, folder, "models/model.json", change), "a symbolic size")


def test_an_operator_does_not_hide_in_metadata(folder: Path, plain: Path) -> None:
    def change(document: Any) -> None:
        handed = {"as_string_to_argument": {"metadata": {"as_operator": "torch.hub.load"}}}
        graph(document)["nodes"][0]["inputs"][0]["arg"] = handed

    refused(edited(plain, folder, "models/model.json", change), "an operator")


def test_text_that_could_be_code_is_refused(folder: Path, plain: Path) -> None:
    def change(document: Any) -> None:
        graph(document)["nodes"][0]["inputs"][0]["arg"] = {"as_string": f"a' + {CODE} + '"}

    refused(edited(plain, folder, "models/model.json", change), "could be code")


def test_several_programs_in_one_file_are_refused(folder: Path, plain: Path) -> None:
    names = {
        "models/model.json": "models/other.json",
        "data/weights/model_weights_config.json": "data/weights/other_weights_config.json",
        "data/constants/model_constants_config.json": "data/constants/other_constants_config.json",
        "data/sample_inputs/model.pt": "data/sample_inputs/other.pt",
    }
    with zipfile.ZipFile(plain) as source:
        records = {name.partition("/")[2]: source.read(name) for name in source.namelist()}
    file = extended(plain, folder, {other: records[name] for name, other in names.items()})
    with pytest.raises(InputRefusedError, match="2 programs"):
        read(file)


def test_trust_all_loads_what_the_audit_refuses(folder: Path, plain: Path) -> None:
    file = extended(plain, folder, {"extra/note.py": b"x = 1\n"})
    refused(file, "program text")
    assert read(file, trust_all=True).kind == "exported_program"
