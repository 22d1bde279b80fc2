"""What cannot be computed is refused before anything is allocated, and never crashes: in Python and natively."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from kernel_cases import EMULATED, ISAS

from dwca_export import kernels
from dwca_export.errors import InputRefusedError
from dwca_export.kernels.native import native

LAYER = kernels.Layer(8, 6, 7, 5)
WEIGHT = np.ones((8, 5, 5), np.float32)
X = np.ones((8, 6, 7), np.float32)


# -- layers


@pytest.mark.parametrize("name", ["channels", "height", "width", "kernel", "stride", "dilation"])
@pytest.mark.parametrize("value", [0, -1, -(1 << 40), (1 << 20) + 1, 1 << 31, 1 << 63, 1 << 200])
def test_sizes_that_cannot_be_are_refused(name, value):
    with pytest.raises(InputRefusedError) as refusal:
        kernels.Layer(**{"channels": 8, "height": 6, "width": 7, name: value})
    assert str(value) in str(refusal.value) or "too large" in str(refusal.value)


@pytest.mark.parametrize("padding", [(-1, 0, 0, 0), (0, 0, 0, -2), (0, 1 << 31, 0, 0), (1, 1), (), (1, 1, 1, 1, 1)])
def test_paddings_that_cannot_be_are_refused(padding):
    with pytest.raises(InputRefusedError):
        kernels.Layer(8, 6, 7, padding=padding)


@pytest.mark.parametrize(
    "layer",
    [
        {"height": 2, "padding": (0, 0, 1, 1)},
        {"width": 4, "padding": (2, 2, 0, 0)},
        {"kernel": 9, "dilation": 3, "padding": (0, 0, 0, 0)},
        {"activation": "sigmoid"},
        {"activation": ""},
        {"height": 1 << 20, "width": 1 << 20},
        {"channels": 1 << 20, "height": 1 << 6, "width": 1 << 6},
        {"padding": (1 << 20, 1 << 20, 1 << 20, 1 << 20)},
        {"padding": (1 << 20, 1 << 20, 1 << 20, 1 << 20), "stride": 1 << 12},
        {"kernel": 2000},
        {"kernel": 1000, "dilation": 1040},
    ],
)
def test_layers_that_cannot_be_are_refused_before_anything_is_allocated(layer):
    tracemalloc.start()
    try:
        with pytest.raises(InputRefusedError):
            kernels.Layer(**{"channels": 8, "height": 6, "width": 7, **layer})
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_layers_that_look_alike_can_be():
    assert kernels.Layer(8, 2, 7, padding=(2, 1, 0, 0)).out_height == 1
    assert kernels.Layer(1, 1, 1, 9, dilation=3).out_width == 1
    assert kernels.Layer(1 << 20, 16, 16, 1).multiply_adds == 1 << 28


# -- plans


@pytest.mark.parametrize(
    "options",
    [
        {"isa": "planted"},
        {"isa": ""},
        {"algorithm": "planted"},
        {"algorithm": ""},
        {"algorithm": "winograd_1d F(4,3)"},
        {"storage": "fp64"},
        {"storage": "FP32"},
        {"arithmetic": "bf16"},
        {"arithmetic": "fp16"},
        {"arithmetic": "fp16", "storage": "bf16"},
        {"arithmetic": "fp16", "storage": "fp16", "isa": "scalar"},
        {"elempack": 0},
        {"elempack": -4},
        {"elempack": 2},
        {"elempack": 16},
        {"elempack": 1 << 40},
        {"threads": 0},
        {"threads": -1},
        {"threads": 257},
        {"threads": 1000},
        {"threads": 1 << 40},
    ],
)
def test_plans_that_cannot_be_are_refused(options):
    with pytest.raises(InputRefusedError):
        kernels.plan(LAYER, WEIGHT, **options)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("layer", [{"stride": 2}, {"dilation": 2}, {"kernel": 4}, {"stride": 3}])
def test_winograd_is_refused_where_it_cannot_compute(isa, layer):
    layer = kernels.Layer(8, 9, 9, **layer)
    weight = np.ones((8, layer.kernel, layer.kernel), np.float32)
    assert all("winograd" not in name for name in kernels.algorithms(layer, isa))
    with pytest.raises(kernels.UnavailableError):
        kernels.plan(layer, weight, isa=isa, algorithm="winograd_1d F(4,5)")


@pytest.mark.parametrize(
    "weight",
    [
        np.ones((8, 5, 4), np.float32),
        np.ones((8, 1, 5, 5), np.float32),
        np.ones(200, np.float32),
        np.ones((0,), np.float32),
    ],
)
def test_weights_of_another_shape_are_refused(weight):
    with pytest.raises(InputRefusedError):
        kernels.plan(LAYER, weight)


def test_a_bias_that_does_not_fit_the_layer_is_refused():
    biased = kernels.Layer(8, 6, 7, 5, bias=True)
    with pytest.raises(InputRefusedError):
        kernels.plan(biased, WEIGHT, np.ones(7, np.float32))
    with pytest.raises(InputRefusedError):
        kernels.plan(biased, WEIGHT)
    with pytest.raises(InputRefusedError):
        kernels.plan(LAYER, WEIGHT, np.ones(8, np.float32))


@pytest.mark.parametrize(
    "kind", [np.zeros((8, 5, 5), np.complex64), np.full((8, 5, 5), "1"), np.full((8, 5, 5), None)], ids=str
)
def test_weights_that_are_no_numbers_are_refused(kind):
    with pytest.raises(InputRefusedError):
        kernels.plan(LAYER, kind)


def test_weights_in_other_layouts_and_types_are_the_same_weights():
    weight = np.random.default_rng(0).standard_normal((8, 5, 5), np.float32)
    x = kernels.pack(X, 8)
    expected = kernels.plan(LAYER, weight, elempack=8)(x)
    assert np.array_equal(kernels.plan(LAYER, np.asfortranarray(weight), elempack=8)(x), expected)
    assert np.array_equal(kernels.plan(LAYER, weight.astype(np.float64), elempack=8)(x), expected)


# -- tensors


@pytest.fixture
def planar():
    return kernels.plan(LAYER, WEIGHT, elempack=1)


@pytest.mark.parametrize(
    "x",
    [
        X.astype(np.float64),
        X.astype(np.float16),
        X[:, :, ::-1],
        X[:, :-1],
        X[None],
        X.reshape(8, 7, 6),
        X.transpose(1, 2, 0),
        np.asfortranarray(X),
        kernels.pack(X, 4),
        X.astype(">f4"),
    ],
    ids=lambda x: f"{x.dtype} {x.shape}",
)
def test_tensors_that_do_not_fit_are_refused(planar, x):
    y = planar.empty_output()
    for call in (lambda: planar(x), lambda: planar.run(x, y), lambda: planar.time(x, y, 1), lambda: planar.run(X, x)):
        with pytest.raises(InputRefusedError):
            call()


def test_an_output_that_shares_memory_or_is_read_only_is_refused(planar):
    with pytest.raises(InputRefusedError):
        planar.run(X, X)
    both = np.zeros(X.size + 1, np.float32)
    with pytest.raises(InputRefusedError):
        planar.run(both[:-1].reshape(X.shape), both[1:].reshape(X.shape))
    y = planar.empty_output()
    y.flags.writeable = False
    with pytest.raises(InputRefusedError):
        planar.run(X, y)


@pytest.mark.parametrize("calls", [0, -1, 1 << 31, 1 << 70])
def test_numbers_of_calls_that_cannot_be_are_refused(planar, calls):
    with pytest.raises(InputRefusedError):
        planar.time(X, planar.empty_output(), calls)


@pytest.mark.parametrize("elempack", [0, -1, 2, 3, 16, 1 << 40])
def test_channels_that_cannot_be_packed_are_refused(elempack):
    with pytest.raises(InputRefusedError):
        kernels.pack(X, elempack)


# -- the native library by itself

GOOD = {
    "isa": "scalar",
    "algorithm": "direct",
    "shape": [8, 6, 7],
    "padding": [2, 2, 2, 2],
    "kernel": 5,
    "stride": 1,
    "dilation": 1,
    "activation": "none",
    "elempack": 4,
    "storage": "fp32",
    "arithmetic": "fp32",
    "weights": WEIGHT,
    "bias": None,
    "threads": 1,
}


def test_the_native_plan_that_the_others_spoil_is_good():
    native().Plan(**GOOD)


@pytest.mark.parametrize(
    "options",
    [
        {"shape": [8, 0, 7]},
        {"shape": [8, 6, -7]},
        {"shape": [8, 6, (1 << 31) - 1]},
        {"shape": [8, 6]},
        {"shape": []},
        {"padding": [2, 2, 2]},
        {"padding": [-3, 2, 2, 2]},
        {"padding": [2, 2, 2, (1 << 31) - 1]},
        {"padding": [0, 0, 0, 0], "shape": [8, 4, 7]},
        {"kernel": 0},
        {"kernel": 3},
        {"kernel": 1 << 16, "algorithm": "generic"},
        {"stride": 0},
        {"stride": -1},
        {"dilation": 0},
        {"dilation": 2},
        {"activation": "planted"},
        {"elempack": 0},
        {"elempack": 3},
        {"elempack": 16},
        {"storage": "planted"},
        {"arithmetic": "fp16"},
        {"arithmetic": "fp16", "storage": "fp16"},
        {"algorithm": "planted"},
        {"isa": "planted"},
        {"weights": np.ones(199, np.float32)},
        {"bias": np.ones(9, np.float32)},
        {"bias": np.ones(0, np.float32)},
        {"threads": 0},
        {"threads": 1000},
    ],
    ids=str,
)
def test_the_native_constructor_refuses_as_well(options):
    with pytest.raises(ValueError, match=r"."):
        native().Plan(**{**GOOD, **options})


@pytest.mark.parametrize(
    "options",
    [{"shape": [1 << 40, 6, 7]}, {"kernel": 1 << 40}, {"weights": WEIGHT.astype(np.float64)}, {"weights": WEIGHT[::2]}],
    ids=lambda options: next(iter(options)),
)
def test_the_native_constructor_refuses_other_types(options):
    with pytest.raises((TypeError, ValueError)):
        native().Plan(**{**GOOD, **options})


def test_native_runs_refuse_tensors_of_another_size():
    plan = native().Plan(**GOOD)
    good, short = np.zeros(8 * 6 * 7, np.float32), np.zeros(8 * 6 * 7 - 1, np.float32)
    plan.run(good, good.copy())
    for pair in ((short, good), (good, short), (good[:0], good)):
        with pytest.raises(ValueError, match="wrong size"):
            plan.run(*pair)
        with pytest.raises(ValueError, match="wrong size"):
            plan.time(*pair, 1)
    with pytest.raises(TypeError):
        plan.run(np.zeros((6, 16, 7), np.float32)[:, ::2], good)


CROWDED = """
import resource
import numpy as np
from dwca_export import kernels

layer, weight = kernels.Layer(8, 6, 7, 5), np.ones((8, 5, 5), np.float32)
kernels.plan(layer, weight, threads=2)
most = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (most + (256 << 20), most + (256 << 20)))
try:
    kernels.plan(layer, weight, threads=256)
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(EMULATED, reason="qemu sets no limit of memory")
def test_threads_that_cannot_be_made_are_an_error_and_no_crash():
    done = subprocess.run([sys.executable, "-c", CROWDED], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("RuntimeError", "MemoryError", "InputRefusedError")
