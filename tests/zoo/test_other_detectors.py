"""Other people's detectors: each comes out right, or is refused with the layer named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from bundle_check import channel_error, eager, least_spread, noise, worst_error
from zoo_exports import ARCHITECTURES, RIGHT, copied, exported, package_file, raw_predictor, saved

from dwca_export.errors import ConversionError, InputRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

pytestmark = [pytest.mark.zoo, pytest.mark.filterwarnings("ignore")]

MTCNN = {"PNet": (1, 3, 60, 47), "RNet": (1, 3, 24, 24), "ONet": (1, 3, 48, 48)}


@pytest.mark.parametrize("name", MTCNN)
def test_mtcnn_from_its_own_weights(tmp_path: Path, photo: Callable[..., np.ndarray], name: str) -> None:
    """Trained, with several outputs; the file that the package ships is a state dict."""
    from facenet_pytorch.models import mtcnn

    file = copied(package_file("facenet_pytorch", "data", f"{name.lower()}.pt"), tmp_path)
    result = exported(file, MTCNN[name], arch=f"facenet_pytorch.models.mtcnn:{name}")
    network = getattr(mtcnn, name)()
    array = photo(*MTCNN[name][2:])
    assert least_spread(network, array, noise(MTCNN[name])) > 0.02
    assert worst_error(network, result.bundle, [array, noise(MTCNN[name])]) < RIGHT
    assert len(result.manifest["outputs"]) == (3 if name == "ONet" else 2)


@pytest.mark.parametrize("kind", ["module", "torchscript", "onnx"])
def test_onet_from_every_kind_of_file(tmp_path: Path, photo: Callable[..., np.ndarray], kind: str) -> None:
    from facenet_pytorch.models.mtcnn import ONet

    network, array = ONet().eval(), photo(48, 48)
    file = tmp_path / ("net.onnx" if kind == "onnx" else "net.pt")
    if kind == "module":
        torch.save(network, file)
    elif kind == "torchscript":
        torch.jit.trace(network, torch.from_numpy(array)).save(file)
    else:
        torch.onnx.export(network, (torch.from_numpy(array),), str(file), dynamo=True, verbose=False)
    result = exported(file, None if kind == "onnx" else MTCNN["ONet"], trust=("torch", "facenet_pytorch"))
    assert worst_error(network, result.bundle, [array]) < RIGHT


def test_pnet_for_every_size(tmp_path: Path, photo: Callable[..., np.ndarray]) -> None:
    """Its poolings round up."""
    from facenet_pytorch.models.mtcnn import PNet

    file = saved(PNet(), tmp_path)
    result = exported(file, MTCNN["PNet"], arch="facenet_pytorch.models.mtcnn:PNet", dynamic=True)
    assert worst_error(PNet(), result.bundle, [photo(60, 47), photo(61, 50), photo(33, 90)]) < RIGHT


def test_onet_is_refused_for_every_size(tmp_path: Path) -> None:
    from facenet_pytorch.models.mtcnn import ONet

    with pytest.raises(InputRefusedError, match="does not run on 1x3x"):
        exported(saved(ONet(), tmp_path), MTCNN["ONet"], arch="facenet_pytorch.models.mtcnn:ONet", dynamic=True)
    assert not (tmp_path / "net_ncnn_model").exists()


# Of every channel of YOLO's heads, some of which are small beside the others; measured: below 6e-5.
RIGHT_YOLO = 2e-4
RIGHT_YOLO_FP16 = 1e-2  # weights rounded to 11 bits; measured: below 3e-3; red and blue exchanged make 7e-2
YOLO_SHAPE = (1, 3, 128, 96)
YOLO_SHAPES = [YOLO_SHAPE, (1, 3, 192, 96), (1, 3, 64, 160)]
TRUST = ("torch", "ultralytics", "dwca_export")


@pytest.mark.parametrize("name", ["yolov8n.yaml", "yolo11n.yaml"])
def test_yolo_with_decoded_boxes(factory: Callable[..., Any], tmp_path: Path, name: str) -> None:
    """The whole model is pickled, as Ultralytics does."""
    network = factory("yolo", name=name)
    torch.save({"model": network, "epoch": 3}, tmp_path / "best.pt")
    result = exported(tmp_path / "best.pt", YOLO_SHAPE, trust=TRUST)
    assert least_spread(network, noise(YOLO_SHAPE), noise(YOLO_SHAPE, 100)) > 0.05
    assert worst_error(network, result.bundle, [noise(YOLO_SHAPE)]) < RIGHT_YOLO
    found = [(block["depthwise_kernel"], block["groups"], block["residual"]) for block in result.manifest["blocks"]]
    assert found == [(5, 4, True)] * 4


@pytest.mark.parametrize(("precisions", "right"), [(("fp16", "fp32"), RIGHT_YOLO), (("fp16",), RIGHT_YOLO_FP16)])
def test_yolo_in_the_hands_of_ultralytics(
    factory: Callable[..., Any], tmp_path: Path, photos: Path, precisions: tuple[str, ...], right: float
) -> None:
    """Its own loader knows the bundle by its name and reads the rest, the image size too, from the metadata."""
    from ultralytics import YOLO, utils

    assert not utils.ONLINE
    assert not utils.AUTOINSTALL
    network = factory("yolo")
    torch.save({"model": network}, tmp_path / "best.pt")
    result = exported(tmp_path / "best.pt", YOLO_SHAPE, trust=TRUST, precisions=precisions)
    loaded = YOLO(str(result.bundle))
    assert loaded.task == "detect"
    loaded.predict(photos / "zidane.jpg", predictor=raw_predictor(), verbose=False)
    backend, (image, predictions) = loaded.predictor.model, loaded.predictor.seen_last
    assert backend.format == "ncnn"
    assert backend.names == {index: f"class{index}" for index in range(4)}
    assert image.shape == YOLO_SHAPE
    assert channel_error(eager(network, image.numpy())[0], predictions.numpy()) < right


def test_yolo_with_decoded_boxes_and_raw_maps(factory: Callable[..., Any], tmp_path: Path) -> None:
    """In eval mode the head returns a tensor and a dict of tensors and lists."""
    network = factory("yolo", head="eval")
    torch.save(network, tmp_path / "best.pt")
    result = exported(tmp_path / "best.pt", YOLO_SHAPE, trust=TRUST)
    assert worst_error(network, result.bundle, [noise(YOLO_SHAPE)]) < RIGHT_YOLO
    names = [output["name"] for output in result.manifest["outputs"]]
    assert names == ["output_0", "output_1.boxes", "output_1.scores", *(f"output_1.feats_{i}" for i in range(3))]


def test_yolo_with_raw_heads_for_every_size(factory: Callable[..., Any], tmp_path: Path) -> None:
    network = factory("yolo", head="raw")
    arch = f"{ARCHITECTURES}:yolo"
    result = exported(saved(network, tmp_path), YOLO_SHAPE, arch=arch, arch_args={"head": "raw"}, dynamic=True)
    assert least_spread(network, noise(YOLO_SHAPE), noise(YOLO_SHAPE, 100)) > 0.05
    assert worst_error(network, result.bundle, map(noise, YOLO_SHAPES)) < RIGHT_YOLO


def test_yolo_with_decoded_boxes_is_refused_for_every_size(factory: Callable[..., Any], tmp_path: Path) -> None:
    """The grid of its boxes is a constant of the size."""
    torch.save(factory("yolo"), tmp_path / "best.pt")
    with pytest.raises(ConversionError, match="weights depend on the input size") as caught:
        exported(tmp_path / "best.pt", YOLO_SHAPE, trust=TRUST, dynamic=True)
    assert "(MemoryData)" in caught.value.where
    assert not (tmp_path / "best_ncnn_model").exists()
