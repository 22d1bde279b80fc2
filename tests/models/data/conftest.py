from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile

import numpy as np
import pytest

from models.data import shapes
from models.data.curation import Curation
from models.data.download import Package
from models.data.thin_objects import CLASSES, PARTS

# One vendor with two sets in training, one in validation, one in the test part.
SETS = {"mill": "Mill", "mill-bold": "Mill", "quay": "Quay", "reef": "Reef"}
OF_PART = {"Mill": "train", "Quay": "validation", "Reef": "test"}


def outline(seed):
    """SVG of a long object whose outline depends on the seed."""
    generator = np.random.default_rng(seed)
    xs = np.linspace(1, 23, 9)
    upper = 12 - generator.uniform(0.5, 5, len(xs))
    lower = 12 + generator.uniform(0.5, 5, len(xs))
    points = [*zip(xs, upper, strict=True), *zip(xs[::-1], lower[::-1], strict=True)]
    corners = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    return f'<polygon fill="currentColor" points="{corners}"/>'


def documents():
    """What the package holds: `collections.json`, and the sets by prefix."""
    about = {
        prefix: {
            "name": prefix.title(),
            "author": {"name": vendor, "url": f"https://example.org/{prefix}"},
            "license": {"title": "MIT", "spdx": "MIT", "url": "https://example.org/licence"},
            "palette": False,
        }
        for prefix, vendor in SETS.items()
    }
    sets = {
        prefix: {
            "prefix": prefix,
            "width": 24,
            "height": 24,
            "icons": {name: {"body": outline((number, label))} for label, name in enumerate(CLASSES)},
        }
        for number, prefix in enumerate(SETS)
    }
    return about, sets


def write_package(file, about, sets):
    with tarfile.open(file, "w:gz") as archive:
        for name, content in {"collections.json": about, **{f"json/{p}.json": s for p, s in sets.items()}}.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file


@pytest.fixture(scope="session")
def package_documents():
    return documents


@pytest.fixture(scope="session")
def packed():
    return write_package


@pytest.fixture(scope="session")
def icon_package(tmp_path_factory):
    return write_package(tmp_path_factory.mktemp("package") / "icons.tgz", *documents())


@pytest.fixture(scope="session")
def small_curation():
    return Curation({name: tuple(f"{prefix}:{name}" for prefix in SETS) for name in CLASSES}, parts=OF_PART)


@pytest.fixture(scope="session")
def pin():
    """Describe a file as the package that it should be."""

    def describe(file, name="thin-icons", version="1.0.0"):
        content = file.read_bytes()
        integrity = f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"
        return Package(name, version, integrity, len(content))

    return describe


@pytest.fixture(scope="session")
def drawn_set(tmp_path_factory):
    """The generated slice; tests copy what they want to damage."""
    folder = tmp_path_factory.mktemp("shapes") / "set"
    shapes.write(folder, objects=44, scenes=8)
    return folder


@pytest.fixture(params=PARTS)
def part(request):
    return request.param
