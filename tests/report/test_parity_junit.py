from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from parity_documents import NOT_FINITE, failing, figures, layer, mode, passing

from dwca_export.errors import InputRefusedError
from dwca_export.report.parity_junit import junit, junit_of_error


def cases(report):
    return {(one.get("classname"), one.get("name")): list(one) for one in ET.fromstring(report).iter("testcase")}  # noqa: S314


def test_a_pass():
    found = cases(junit(passing()))
    assert found["outputs.fp32", "fp32"] == []
    (skipped,) = found["outputs.fp32", "bf16-storage"]
    assert (skipped.tag, skipped.get("message")) == ("skipped", "it computes the same")


def test_a_failure():
    found = cases(junit(failing()))
    (failure,) = found["outputs.fp32", "fp32"]
    assert "relative L2 error 0.25" in failure.get("message")
    (failure,) = found["layers.fp32.fp32", "trunk.conv2 (conv2)"]
    assert (failure.tag, failure.get("type")) == ("failure", "scale")
    assert failure.get("message") == "adds a relative L2 error of 0.5"
    assert "max_abs: 0.5" in failure.text
    assert len(found) == 3


def test_what_is_not_finite():
    document = failing()
    document["layers"] = [layer("conv2", 0.5, "non-finite", added=figures("conv2", **NOT_FINITE))]
    (failure,) = cases(junit(document))["layers.fp32.fp32", "trunk.conv2 (conv2)"]
    assert "NaN" in failure.get("message")


def test_the_users_data():
    document = passing()
    document["images"] = {"modes": [mode("fp16", "fp32", "failed", ["one", "two"])]}
    (failure,) = cases(junit(document))["images.fp16", "fp32"]
    assert (failure.get("message"), failure.text) == ("one", "one\ntwo")


def test_counts():
    for report, counts in ((junit(passing()), "2 0 0 1"), (junit(failing()), "3 2 0 1")):
        root = ET.fromstring(report)  # noqa: S314
        for element in (root, root[0]):
            assert " ".join(element.get(key) for key in ("tests", "failures", "errors", "skipped")) == counts


def test_an_error():
    report = junit_of_error("net", InputRefusedError("what", where="file", hint="do this"))
    (error,) = cases(report)["bundle", "net"]
    assert (error.tag, error.get("type"), error.get("message")) == ("error", "InputRefusedError", "what")
    assert error.text == "file: what\n  -> do this"
    assert ET.fromstring(report).get("errors") == "1"  # noqa: S314


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_name_makes_valid_xml(name):
    document = failing()
    fault = layer("conv2", 0.5, "scale", module=name)
    document.update(name=name, layers=[fault], first_fault=fault)
    document["modes"][0]["faults"] = [name or "fault"]
    assert len(cases(junit(document))) == 3
    assert len(cases(junit_of_error(name, InputRefusedError(name)))) == 1
