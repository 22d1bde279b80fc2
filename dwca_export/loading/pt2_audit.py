"""Whether anything in an exported program (`.pt2`) could run code; loads nothing.

`torch.export.load` trusts its file (torch 2.13, `torch/export/pt2_archive` and `torch/_export/serde`): it unpickles
payloads without `weights_only` where the archive says so, and sample inputs where the careful attempt fails; loads
compiled libraries; resolves operator names by attribute access from `torch`; evaluates symbolic sizes; imports
modules that tree descriptions name; and pastes names, strings and guards into Python source that it executes. Hence
these rules, each on what the archive says in JSON:

1. No compiled library, no pickled payload, no custom object.
2. Every operator is one of a tensor library (but for those that reach files), or Python's arithmetic.
3. Every name is a plain identifier, or several joined by dots.
4. Every symbolic size is arithmetic over integers and symbols; every guard compares sizes.
5. Trees consist of lists, tuples and dicts with plain names.
6. All other text has no character that a call or a string needs in Python, but for the metadata of an operator, which
   says where in the source it came from and is only shown.

Sample inputs stay pickled: whoever loads an audited archive forces `weights_only`, by torch's own switch.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any

import torch

from dwca_export.errors import InputRefusedError
from dwca_export.loading.text import one_line, printable

if TYPE_CHECKING:
    from pathlib import Path

_BARRED_RECORD = re.compile(
    r"data/(aotinductor|executorch)/.*|.*\.(so|pyd|dll|dylib|py)|data/(weights|constants)/.*\.pt"
)
_PAYLOAD = re.compile(r"(weight|tensor)_\d+")
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|torchvision|quantized_decomposed)\.(?!save\.|from_file\.|__)\w+\.(?!__)\w+"
    r"|torch\.ops\.aten\.__i?(and|or|xor|lshift|rshift)__\.(?!__)\w+"
    r"|torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)"
    r"|math\.(trunc|ceil|floor|sqrt)|torch\._?sym_[a-z]+"
)
_NAME = re.compile(r"([A-Za-z_]\w*)?")
_DOTTED = re.compile(r"[\w.\-]*")
_PLAIN = re.compile(r"[\w.\-+:/<>=, ]*")
_NAME_KEYS = {"name", "as_name", "user_input_name", "forward_arg_names", "field_names"}
_DOTTED_KEYS = {"fqn", "parameter_name", "buffer_name", "tensor_constant_name"}
_SHOWN_METADATA = {"stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom"}
_TREES = {None, "builtins.list", "builtins.tuple", "builtins.dict", "collections.OrderedDict", "collections.namedtuple"}

_ARITHMETIC = (
    *(ast.Expression, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Constant, ast.BinOp, ast.UnaryOp, ast.BoolOp),
    *(ast.Compare, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)
# Constructors that sympy's srepr writes, and torch's own functions on sizes (torch/utils/_sympy/functions.py).
_SIZE_FUNCTIONS = {
    *("Integer", "Rational", "Float", "Symbol", "Add", "Mul", "Pow", "Max", "Min", "Abs", "Mod", "PythonMod"),
    *("FloorDiv", "CeilDiv", "CleanDiv", "IntTrueDiv", "FloatTrueDiv", "ModularIndexing", "Where", "PowByNatural"),
    *("CeilToInt", "FloorToInt", "TruncToInt", "RoundToInt", "ToFloat", "Identity", "And", "Or", "Not"),
    *("Eq", "Ne", "Lt", "Le", "Gt", "Ge", "Equality", "Unequality"),
    *("StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan"),
}
_SYMBOL = re.compile(r"z?[su]f?\d+|int_oo|oo|inf")
# What guards use besides; `L` are the inputs by name.
_GUARD_NAMES = {"L", "math", "min", "max", "abs"}
_GUARD_ATTRIBUTES = {"size", "stride", "storage_offset", "ceil", "floor", "trunc", "sqrt", "inf"}


def audit(path: Path) -> None:
    """Refuse an exported program in which anything could run code, on loading or later.

    Args:
        path: The archive.

    Raises:
        InputRefusedError: Something could, or the archive is damaged.
    """
    try:
        # torch's own reader, so that the audit and the loader see the same records whatever the zip file's tables say.
        archive = torch._C.PyTorchFileReader(str(path))
        names = archive.get_all_records()
        programs = [json.loads(archive.get_record(name)) for name in names if name.startswith("models/")]
        payloads = [json.loads(archive.get_record(name)) for name in names if name.endswith("_config.json")]
    except (RuntimeError, ValueError) as error:
        raise InputRefusedError(
            f"the file is truncated or damaged ({one_line(error)})", hint="copy or download it again"
        ) from error
    for name in names:
        _require(not _BARRED_RECORD.fullmatch(name), "a library, program text or pickled weights", name)
    for payload in payloads:
        _check_payload(payload)
    for program in programs:
        _check_value("", program)


def _require(holds: object, what: str, found: object) -> None:
    if not holds:
        raise InputRefusedError(
            f"the exported program holds {what}: {printable(str(found))}",
            hint="export a plain network, with tensors as weights and inputs; "
            "--trust-all loads it all the same, for a file you made yourself",
        )


def _check_payload(payload: Any) -> None:
    """Rule 1 for the tables that say how weights and constants are stored."""
    for name, entry in payload["config"].items():
        _require(_DOTTED.fullmatch(name), "a name that is no plain name", name)
        _require(entry["use_pickle"] is False, "a pickled object", name)
        _require(_PAYLOAD.fullmatch(entry["path_name"]), "something other than tensors", entry["path_name"])
        _check_value("", entry["tensor_meta"])


def _check_value(key: str, value: Any) -> None:
    """Check parsed JSON from a program: text by the key that it stands under, and all below."""
    if isinstance(value, str):
        _check_text(key, value)
    elif isinstance(value, list):
        for entry in value:
            _check_value(key, entry)
    elif isinstance(value, dict):
        for inner, entry in value.items():
            _require(inner not in {"as_custom_obj", "custom_obj"}, "a custom object", entry)
            if key == "range_constraints":
                _check_size(inner)
            else:
                _require(_PLAIN.fullmatch(inner), "a name that is no plain name", inner)
            if not (key == "metadata" and inner in _SHOWN_METADATA and isinstance(entry, str)):
                _check_value(inner, entry)


def _check_text(key: str, text: str) -> None:
    if key in {"target", "as_operator"}:
        _require(_OPERATOR.fullmatch(text), "an operator that is not a tensor library's", text)
    elif key in _NAME_KEYS:
        _require(_NAME.fullmatch(text), "a name that is no plain name", text)
    elif key in _DOTTED_KEYS:
        _require(_DOTTED.fullmatch(text), "a name that is no plain name", text)
    elif key == "expr_str":
        _check_size(text)
    elif key == "guards_code":
        _check_guard(text)
    elif key == "in_spec":
        _check_tree(json.loads(text)[1], _DOTTED)
    elif key == "out_spec":
        _check_tree(json.loads(text)[1], _PLAIN)
    else:
        _require(_PLAIN.fullmatch(text), "text that could be code", text)


def _check_size(text: str) -> None:
    """Rule 4: sympy evaluates this text."""
    what = "a symbolic size that is more than arithmetic"
    for node in _nodes(text, what):
        _require(isinstance(node, _ARITHMETIC), what, text)
        if isinstance(node, ast.Call):
            _require(isinstance(node.func, ast.Name) and node.func.id in _SIZE_FUNCTIONS, what, text)
        elif isinstance(node, ast.Name):
            _require(node.id in _SIZE_FUNCTIONS or _SYMBOL.fullmatch(node.id), what, text)
        elif isinstance(node, ast.Constant):
            _require(_is_plain_constant(node), what, text)


def _check_guard(text: str) -> None:
    """Rule 4: torch executes this text."""
    what = "a guard that does more than compare sizes"
    for node in _nodes(text, what):
        _require(isinstance(node, (*_ARITHMETIC, ast.Attribute, ast.Subscript)), what, text)
        if isinstance(node, ast.Call):
            _require(isinstance(node.func, ast.Name | ast.Attribute), what, text)
        elif isinstance(node, ast.Attribute):
            _require(node.attr in _GUARD_ATTRIBUTES, what, text)
        elif isinstance(node, ast.Name):
            _require(node.id in _GUARD_NAMES | _SIZE_FUNCTIONS, what, text)
        elif isinstance(node, ast.Constant):
            _require(_is_plain_constant(node), what, text)


def _nodes(text: str, what: str) -> list[ast.AST]:
    try:
        tree = ast.parse(text, mode="eval") if text.isascii() else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    _require(tree, what, text)
    return list(ast.walk(tree)) if tree else []


def _is_plain_constant(node: ast.Constant) -> bool:
    if isinstance(node.value, str):
        return bool(_NAME.fullmatch(node.value))
    return isinstance(node.value, bool | int | float)


def _check_tree(tree: Any, keys: re.Pattern[str]) -> None:
    """Rule 5."""
    what = "inputs or outputs other than tensors in lists, tuples and dicts with plain names"
    _require(tree["type"] in _TREES, what, tree["type"])
    if tree["context"] is not None:
        context = json.loads(tree["context"])
        for entry in context if isinstance(context, list) else [context]:
            plain = keys.fullmatch(entry) if isinstance(entry, str) else entry is None or isinstance(entry, int)
            _require(plain, what, entry)
    for child in tree["children_spec"]:
        _check_tree(child, keys)
