"""Documents of `dwca_export.audit.document`, made by hand."""

from __future__ import annotations


def figures(name="scores", error=1e-6, **more):
    """The figures of one tensor."""
    values = {
        "output": name,
        "shape": [1, 4],
        "samples": 3,
        "max_abs": error,
        "relative_max": error,
        "relative_l2": error,
        "channel": "",
        "channel_l2": None,
        "cosine": 0.99999999,
        "sqnr_db": 59.9,
        "top1": 1.0,
        "fault": "",
    }
    return {**values, **more}


NOT_FINITE = dict.fromkeys(("max_abs", "relative_max", "relative_l2", "channel_l2", "cosine", "sqnr_db", "top1")) | {
    "fault": "sample 0: 1 of 4 values of the candidate are NaN or infinite"
}


def layer(name, error, kind=None, precision="fp32", mode="fp32", **more):
    """One layer in one mode."""
    values = {
        "precision": precision,
        "mode": mode,
        "module": f"trunk.{name}",
        "exact": True,
        "after": ["trunk.stem"],
        "layer": name,
        "type": "Convolution",
        "blob": name,
        "also": [],
        "kind": kind,
        "added": figures(name, error),
        "carried": figures(name, 2 * error),
        "statistics": None,
    }
    return {**values, **more}


def mode(precision, name, status, faults=(), reason="", outputs=()):
    """One network in one mode."""
    return {
        "precision": precision,
        "mode": name,
        "status": status,
        "reason": reason,
        "tolerance": name,
        "acted": 2,
        "blobs": 2,
        "faults": list(faults),
        "outputs": list(outputs),
    }


TOLERANCE = {"layer_l2": 1e-5, "layer_channel_l2": 1e-4}


def passing():
    """Two modes, one of which this machine lacks."""
    return {
        "name": "net",
        "verdict": "passed",
        "first_fault": None,
        "machine": {"processor": "riscv64", "ncnn": "1.0.20260101", "dwca-export": "0.1.0"},
        "threads": 2,
        "samples": {"kind": "images", "origin": "9 images of data/", "count": 4},
        "tolerances": {"fp32": TOLERANCE, "bf16-storage": {"layer_l2": 1e-2, "layer_channel_l2": 1e-1}},
        "modes": [
            mode("fp32", "fp32", "passed", outputs=[figures()]),
            mode("fp32", "bf16-storage", "not run", reason="it computes the same"),
        ],
        "hops": {"outputs": [], "values": []},
        "layers": [layer("conv1", 1e-6), layer("conv2", 3e-6)],
        "images": None,
        "paths": None,
        "ranges": None,
        "precision_fix": None,
        "notes": ["a note"],
    }


def failing():
    """The second layer is at fault."""
    document = passing()
    fault = layer("conv2", 0.5, "scale")
    fault_text = "output 'scores': relative L2 error 0.25 is above 0.0001 (fp32 tolerance)"
    document["modes"][0] = mode("fp32", "fp32", "failed", [fault_text], outputs=[figures(error=0.25)])
    return {**document, "verdict": "failed", "layers": [layer("conv1", 1e-6), fault], "first_fault": fault}
