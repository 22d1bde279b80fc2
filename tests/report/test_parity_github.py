from __future__ import annotations

from parity_documents import failing, mode, passing

from dwca_export.errors import InputRefusedError
from dwca_export.report.parity_github import github_line_of_error, github_lines


def test_a_pass():
    assert github_lines(passing(), "") == [
        "::notice title=dwca-parity%3A fp32 weights%2C bf16-storage::not run: it computes the same",
        "::warning title=dwca-parity%3A note::a note",
    ]


def test_a_failure():
    lines = github_lines(failing(), "conv2 is at fault")
    assert lines[0] == "::error title=dwca-parity%3A first fault::conv2 is at fault"
    assert lines[1].startswith("::error title=dwca-parity%3A fp32 weights%2C fp32::output 'scores': relative L2")


def test_without_a_layer_at_fault_nothing_is_said_twice():
    document = failing()
    document["first_fault"] = None
    assert sum(line.startswith("::error") for line in github_lines(document, "the same as the fault")) == 1


def test_the_users_data():
    document = passing()
    document["images"] = {"modes": [mode("fp32", "bf16-storage", "failed", ["sample 3"])]}
    assert "::error title=dwca-parity%3A fp32 weights%2C bf16-storage on the images::sample 3" in github_lines(
        document, ""
    )


def test_an_error():
    line = github_line_of_error(InputRefusedError("was changed", where="a/b:c", hint="copy it"))
    assert line == "::error title=dwca-parity%3A a/b%3Ac::was changed copy it"
    assert github_line_of_error(InputRefusedError("what")) == "::error title=dwca-parity%3A error::what"


def test_names_cannot_make_commands():
    line = github_line_of_error(InputRefusedError("100 %\n::set-env name=x::y\rz", where="a\n::b,c"))
    assert len(line.splitlines()) == 1
    assert line == r"::error title=dwca-parity%3A a %3A%3Ab%2Cc::100 %25 ::set-env name=x::y\rz"
