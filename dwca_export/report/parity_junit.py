"""A parity document as JUnit XML: one test case per network and mode, and one per layer at fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dwca_export.errors import DwcaExportError


def junit(document: Mapping[str, Any]) -> bytes:
    """The report of a check.

    Args:
        document: What `dwca_export.audit.document` describes.

    Returns:
        A whole document in UTF-8.
    """
    cases = [_mode(one) for one in document["modes"]]
    cases += [_layer(layer) for layer in document["layers"] if layer["kind"]]
    images = document["images"]
    cases += [_outcome(_case("images", one), one["faults"]) for one in (images["modes"] if images else ())]
    return _suite(document["name"], cases)


def junit_of_error(bundle: str, error: DwcaExportError) -> bytes:
    """The report of a check that could not be made."""
    case = ET.Element("testcase", classname="bundle", name=visible(bundle))
    _add(case, "error", type(error).__name__, error.what, str(error))
    return _suite(bundle, [case])


def _mode(one: Mapping[str, Any]) -> ET.Element:
    case = _case("outputs", one)
    if one["status"] == "not run":
        ET.SubElement(case, "skipped", message=visible(one["reason"]))
        return case
    return _outcome(case, one["faults"])


def _layer(layer: Mapping[str, Any]) -> ET.Element:
    name = f"{layer['module'] or layer['layer']} ({layer['layer']})"
    case = ET.Element("testcase", classname=f"layers.{layer['precision']}.{layer['mode']}", name=visible(name))
    added = layer["added"]
    figures = [f"{key}: {value}" for key, value in added.items() if value not in (None, "") and key != "output"]
    message = added["fault"] or f"adds a relative L2 error of {added['relative_l2']:.3g}"
    _add(case, "failure", layer["kind"], message, "\n".join(figures))
    return case


def _case(group: str, one: Mapping[str, Any]) -> ET.Element:
    return ET.Element("testcase", classname=f"{group}.{visible(one['precision'])}", name=visible(one["mode"]))


def _outcome(case: ET.Element, faults: Iterable[str]) -> ET.Element:
    lines = list(faults)
    if lines:
        _add(case, "failure", "parity", lines[0], "\n".join(lines))
    return case


def _add(case: ET.Element, tag: str, kind: str, message: str, body: str) -> None:
    element = ET.SubElement(case, tag, type=kind, message=visible(message))
    element.text = "\n".join(map(visible, body.splitlines()))


def _suite(name: str, cases: list[ET.Element]) -> bytes:
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
    }
    root = ET.Element("testsuites", {"name": "dwca-parity", **counts})
    ET.SubElement(root, "testsuite", {"name": visible(name), **counts}).extend(cases)
    ET.indent(root)
    report: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return report + b"\n"
