"""What the proof is worth: outputs that hardly depend on the input, and networks that ignore it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from dwca_export import optimise
from dwca_export.errors import ParityError
from dwca_export.pipeline import export
from dwca_export.progress import Progress
from dwca_export.request import ExportRequest

SHAPE = (1, 3, 8, 6)


def save(folder, body, outputs="float[1, 3, 8, 6] y", **weights):
    """An ONNX graph of these nodes as a file."""
    header = f'<ir_version: 10, opset_import: ["": 18]> net (float[1, 3, 8, 6] x) => ({outputs})'
    model = onnx.parser.parse_model(f"{header} {{ {body} }}")
    tensors = [onnx.numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in weights.items()]
    model.graph.initializer.extend(tensors)
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def scaled(folder, scale):
    """1 + scale * x: the smaller the scale, the less the output depends on the input."""
    return save(folder, "t = Mul(x, scale) y = Add(t, one)", scale=scale, one=1)


def whole_image(folder):
    """One convolution over the whole image: four numbers."""
    weights = np.random.default_rng(5).standard_normal((4, *SHAPE[1:])) / 12
    return save(folder, "y = Conv(x, w, b)", "float[1, 4, 1, 1] y", w=weights, b=np.ones(4))


def exported(model, progress=None, **options):
    return export(ExportRequest(model, **{"samples": 2, **options}), progress)


def refused(model, **options):
    with pytest.raises(ParityError) as caught:
        exported(model, **options)
    assert sorted(path.name for path in model.parent.iterdir() if path.name.startswith("net")) == ["net.onnx"]
    return caught.value


@pytest.mark.parametrize("samples", [1, 2])
def test_an_ordinary_network_needs_no_note(tmp_path, samples):
    manifest = exported(scaled(tmp_path, 1), samples=samples).manifest
    assert [(one["output"], one["verdict"]) for one in manifest["contrasts"]] == [("y", "strong")]
    assert not any("weak proof" in note or "depend" in note for note in manifest["notes"])


@pytest.mark.parametrize("samples", [1, 2])
def test_an_output_that_hardly_depends_on_the_input_is_refused(tmp_path, samples):
    error = refused(scaled(tmp_path, 1e-6), samples=samples)
    assert "output 'y' hardly changes" in error.what
    assert error.where == "ONNX as given"
    assert "--images" in error.hint


def test_layers_that_were_compared_by_themselves_stand_in(tmp_path):
    """As of an untrained network: the output hardly changes, what is behind the first convolution does."""
    kernel = np.random.default_rng(0).standard_normal((4, 3, 3, 3))
    body = "a = Conv(x, w) b = Relu(a) c = Conv(b, v, one) y = Relu(c)"
    model = save(tmp_path, body, "float[1, 2, 4, 2] y", w=kernel, v=1e-7 * kernel[:2, [0, 1, 2, 0]], one=[1, 2])
    manifest = exported(model).manifest
    assert manifest["contrasts"][0]["verdict"] == "blind"
    assert any("only the comparison of each layer by itself speaks for it" in note for note in manifest["notes"])


def test_data_on_which_it_depends_on_the_input_is_the_remedy(tmp_path):
    model = scaled(tmp_path, 1e-6)
    np.save(tmp_path / "large.npy", 1e6 * np.random.default_rng(0).standard_normal((2, *SHAPE[1:])).astype(np.float32))
    assert exported(model, images=tmp_path / "large.npy").manifest["contrasts"][0]["verdict"] == "strong"


def test_a_weak_proof_is_told_everywhere(tmp_path, capsys):
    made = exported(scaled(tmp_path, 1e-3), Progress())
    notes = [note for note in made.manifest["notes"] if note.startswith("weak proof: output 'y' hardly changes")]
    assert len(notes) == 1
    assert notes[0] in capsys.readouterr().err
    page = (made.bundle / "report.html").read_text(encoding="utf-8")
    assert "weak proof: output" in page
    assert "<td>weak</td>" in page


def test_weights_in_fp16_need_a_larger_change(tmp_path):
    model = scaled(tmp_path, 5e-3)
    assert exported(model, out=tmp_path / "fp32").manifest["contrasts"][0]["verdict"] == "weak"
    error = refused(model, precisions=("fp32", "fp16"))
    assert "fp16-weights" in error.what


def test_an_output_that_depends_on_no_input_is_named_and_kept(tmp_path):
    """Anchors and the like: a constant for every input, however it is written."""
    body = "y = Relu(x) t = Mul(x, zero) anchors = Add(t, three)"
    outputs = "float[1, 3, 8, 6] y, float[1, 3, 8, 6] anchors"
    manifest = exported(save(tmp_path, body, outputs, zero=0, three=3), samples=1).manifest
    assert [(one["output"], one["verdict"]) for one in manifest["contrasts"]] == [
        ("y", "strong"),
        ("anchors", "constant"),
    ]
    assert "output 'anchors' does not depend on the input; it was compared as a constant" in manifest["notes"]


@pytest.mark.parametrize("body", ["t = Sub(x, many) y = Relu(t)", "t = Add(x, many) y = Sigmoid(t)"])
def test_an_output_that_is_only_saturated_is_no_constant(tmp_path, body):
    error = refused(save(tmp_path, body, many=100))
    assert "output 'y' hardly changes" in error.what


# --- planted: an ncnn network that ignores its input


@pytest.fixture
def ignoring(monkeypatch):
    """`ignoring(bias)`: exports come out with a convolution of zeros and this bias."""

    def plant(bias):
        def ignore(graph):
            name, weights = next((name, weights) for name, weights in graph.weights.items() if len(weights) > 1)
            *_, kernel, old = weights
            kernel, bias_weight = (
                replace(old_one, data=np.asarray(new, np.float32).reshape(old_one.data.shape))
                for old_one, new in ((kernel, np.zeros_like(kernel.data)), (old, bias))
            )
            return replace(graph, weights={**graph.weights, name: (*weights[:-2], kernel, bias_weight)}), True

        monkeypatch.setattr(optimise, "PASSES", (("ignore the input", ignore),))

    return plant


def test_a_network_that_ignores_its_input(tmp_path, ignoring):
    ignoring(np.ones(4))
    assert refused(whole_image(tmp_path)).where == "ncnn by pnnx -> ncnn fp32"


@pytest.mark.parametrize("copies", [1, 3])
def test_a_network_that_returns_what_is_right_for_the_only_sample(tmp_path, ignoring, copies):
    """It agrees on every sample given: one more is made, on which it does not."""
    model = whole_image(tmp_path)
    sample = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    np.save(tmp_path / "one.npy", np.repeat(sample, copies, axis=0))
    honest = exported(model, images=tmp_path / "one.npy", out=tmp_path / "honest")
    with np.load(honest.bundle / "golden.npz") as golden:
        assert sum(name.startswith("output/") for name in golden.files) == min(copies, 2)
        ignoring(golden["output/0/y"])
    error = refused(model, images=tmp_path / "one.npy")
    assert error.where == "ncnn by pnnx -> ncnn fp32"
    assert "relative L2 error" in error.what
