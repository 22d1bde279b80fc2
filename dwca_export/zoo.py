"""The trained networks that come with dwca-export: what `zoo:NAME` stands for.

They lie in a folder `models`: inside the package where it was installed from a wheel, beside it in the source tree.
There are `nets.py`, whose factories build the networks, and `zoo/` with the weights, their cards and sample images.
That code is part of dwca-export, so no `--arch` has to name it; a card can choose among its factories and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwca_export.errors import InputRefusedError, UsageError
from dwca_export.loading.text import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwca_export.request import ExportRequest

PREFIX = "zoo:"
LIST = f"{PREFIX}list"
FACTORIES = ("models/nets.py:classifier", "models/nets.py:detector")
"""What a card may name as `arch`."""

_PACKAGE = Path(__file__).parent
_CARD = ".card.json"
_AGAIN = "install dwca-export again; in a clone: git checkout models/zoo"
_MEASURED = ("test_accuracy", "test_map50")


@dataclass(frozen=True)
class ZooModel:
    """A trained network, complete and of the hash that its card names.

    Attributes:
        name: As in `zoo:NAME`.
        checkpoint: The weights; the card lies beside them.
        arch: Factory of the network, as `load` takes it.
        card: What the card says.
    """

    name: str
    checkpoint: Path
    arch: str
    card: Mapping[str, Any]


def home(package: Path = _PACKAGE) -> Path:
    """The folder `models` with `nets.py` and `zoo/`; it need not exist.

    Args:
        package: Folder of `dwca_export`.
    """
    shipped, beside = package / "models", package.parent / "models"
    # What lies beside an installed package is somebody else's.
    is_source_tree = (package.parent / "pyproject.toml").is_file() and (beside / "nets.py").is_file()
    return beside if is_source_tree and not shipped.is_dir() else shipped


def is_zoo(model: str) -> bool:
    """Whether what was given as a model is a name of the zoo; `./zoo:x` is a file."""
    return model.startswith(PREFIX)


def with_zoo(request: ExportRequest, model: str, models: Path | None = None) -> ExportRequest:
    """Complete a request for a network of the zoo.

    Args:
        request: What the user asked for. Where it names no folder, the bundle goes to the current one; where it names
            no data, parity is proven on the network's sample images.
        model: `zoo:NAME`.
        models: See `home`.

    Raises:
        UsageError: There is no such network, or the request names a factory.
        InputRefusedError: Its weights or its card are absent or damaged.
    """
    for option, given in (("--arch", request.arch), ("--arch-args", request.arch_args)):
        if given is not None:
            raise UsageError(f"{model} brings its own architecture", where=option, hint="leave it out")
    found = find(model.removeprefix(PREFIX), models)
    return replace(
        request,
        model=found.checkpoint,
        arch=found.arch,
        out=request.out or Path.cwd(),
        images=request.images or samples_of(found),
    )


def find(name: str, models: Path | None = None) -> ZooModel:
    """Find a network of the zoo, and check that its weights are those of its card.

    Args:
        name: Its name.
        models: See `home`.

    Raises:
        UsageError: There is no such network.
        InputRefusedError: Its weights or its card are absent or damaged, or do not belong together.
    """
    models = models or home()
    if name not in names(models):
        what = f"there is no network {printable(name)!r}" if name else "no network is named"
        raise UsageError(what, where="zoo", hint=_offer(models))
    where = f"{PREFIX}{name}"
    checkpoint = models / "zoo" / f"{name}.pt"
    card = _read_card(checkpoint, where)
    _check_weights(checkpoint, card, where)
    factory = card["arch"].rpartition(":")[2]
    return ZooModel(name, checkpoint, f"{models / 'nets.py'}:{factory}", card)


def samples_of(model: ZooModel) -> Path | None:
    """The sample images of a network, of its test split, as `open_samples` takes them; None if its card names none.

    Raises:
        InputRefusedError: They are absent, or the card names something that does not lie beside it.
    """
    named, where = model.card.get("samples"), f"{PREFIX}{model.name}"
    if named is None:
        return None
    # A name and no path: a card cannot make the command read anything else.
    if not isinstance(named, str) or not named or Path(named).name != named:
        raise InputRefusedError(
            f"its card names the sample images {printable(str(named))}", where=where, hint="name a file beside it"
        )
    file = model.checkpoint.parent / named
    if not file.is_file():
        raise InputRefusedError(f"its sample images {file} are not there", where=where, hint=_AGAIN)
    return file


def names(models: Path | None = None) -> list[str]:
    """The networks of which weights or card are there, in the order of the alphabet."""
    files = (models or home()) / "zoo"
    cards = {path.name.removesuffix(_CARD) for path in files.glob(f"*{_CARD}")}
    return sorted(cards | {path.stem for path in files.glob("*.pt")})


def listing(models: Path | None = None) -> list[dict[str, Any]]:
    """What there is, for `zoo:list`.

    Returns:
        For each network `name`, `task`, `shape` and `metrics` as its card has them (None where it has not), and
        `bytes`, the size of the weights (None where they are absent).
    """
    models = models or home()
    return [_entry(models / "zoo" / f"{name}.pt") for name in names(models)]


def listing_text(entries: list[dict[str, Any]]) -> str:
    """The listing as lines of text, one per network; one that says so if there is none."""
    return "\n".join(map(_line, entries)) if entries else f"no network is here: they belong into {home() / 'zoo'}"


def _entry(checkpoint: Path) -> dict[str, Any]:
    try:
        card = _parse(checkpoint)
    except (OSError, ValueError):  # `find` says what is wrong with it
        card = {}
    given = card.get("input")
    return {
        "name": checkpoint.stem,
        "task": card.get("task"),
        "shape": given.get("shape") if isinstance(given, dict) else None,
        "metrics": card.get("metrics"),
        "bytes": checkpoint.stat().st_size if checkpoint.is_file() else None,
    }


def _line(entry: Mapping[str, Any]) -> str:
    metrics = entry["metrics"] if isinstance(entry["metrics"], dict) else {}
    measured = [f"{name} {metrics[name]}" for name in _MEASURED if name in metrics]
    size = "weights absent" if entry["bytes"] is None else f"{entry['bytes'] / 1e6:.2f} MB"
    shape = "x".join(map(str, entry["shape"] or ()))
    words = [f"{PREFIX}{entry['name']:<24}", entry["task"] or "card absent or damaged", shape, *measured, size]
    return printable("  ".join(word for word in map(str, words) if word))


def _offer(models: Path) -> str:
    known = names(models)
    return f"there are {', '.join(known)}; {LIST} says more" if known else f"{models / 'zoo'} holds none: {_AGAIN}"


def _parse(checkpoint: Path) -> dict[str, Any]:
    card = json.loads(checkpoint.with_suffix(_CARD).read_text(encoding="utf-8"))
    if not isinstance(card, dict):
        raise ValueError("not a JSON object")
    return card


def _read_card(checkpoint: Path, where: str) -> dict[str, Any]:
    file = checkpoint.with_suffix(_CARD)
    try:
        card = _parse(checkpoint)
    except FileNotFoundError:
        raise InputRefusedError(f"its card {file} is not there", where=where, hint=_AGAIN) from None
    except (OSError, ValueError) as error:
        raise InputRefusedError(
            f"its card {file} cannot be read ({one_line(error)})", where=where, hint=_AGAIN
        ) from error
    if card.get("name") != checkpoint.stem:
        raise InputRefusedError(
            f"its card {file} is that of {printable(str(card.get('name')))}", where=where, hint=_AGAIN
        )
    if card.get("arch") not in FACTORIES:
        fault = f"its card {file} names the architecture {printable(str(card.get('arch')))}"
        raise InputRefusedError(fault, where=where, hint=f"those of the zoo are {' and '.join(FACTORIES)}")
    return card


def _check_weights(checkpoint: Path, card: Mapping[str, Any], where: str) -> None:
    try:
        content = checkpoint.read_bytes()
    except FileNotFoundError:
        hint = f"they are models/zoo/{checkpoint.name} of dwca-export's source repository: copy that file there"
        raise InputRefusedError(f"its weights {checkpoint} are not there", where=where, hint=hint) from None
    except OSError as error:
        raise InputRefusedError(
            f"its weights {checkpoint} cannot be read ({error.strerror})", where=where, hint=_AGAIN
        ) from error
    found, named = hashlib.sha256(content).hexdigest(), printable(str(card.get("sha256")))
    if found != named:
        what = (
            f"its weights are damaged or of another training: {checkpoint} has sha256 {found}, its card names {named}"
        )
        raise InputRefusedError(what, where=where, hint=_AGAIN)
