from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def convert():
    """`convert(module, *shapes)`: what the hops up to pnnx make of a torch module, once a session for each."""
    made = {}

    def converted(module, *shapes):
        if (module, shapes) not in made:
            made[module, shapes] = _convert(module, shapes)
        return made[module, shapes]

    return converted


def _convert(module, shapes):
    from dwca_export.artifacts import LoadedModel
    from dwca_export.prepare import prepare
    from dwca_export.simplify import rewrite, simplify
    from dwca_export.to_ncnn import to_ncnn
    from dwca_export.to_onnx import to_onnx

    given = prepare(LoadedModel(module, "module", ""), shapes)
    return to_ncnn(rewrite(simplify(to_onnx(given)))[0])
