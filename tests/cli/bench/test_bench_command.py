from __future__ import annotations

import csv
import json

import pytest
import tiny_target
from planted_system import plant

from dwca_export import __version__
from dwca_export.bench.conditions import usable_cpus
from dwca_export.bench.session import Session

FEW = ("--rounds", "6", "--min-time", "0")


def names(document):
    return [row["name"] for row in document["rows"]]


def test_a_network_is_measured_in_variants(bench, bundle):
    done = bench(bundle, *FEW)
    assert done.code == 0, done.err
    assert done.out.startswith("hand-made (1x3x20x12, seeded noise): ncnn ")
    assert "fp32+no-packing" in done.out
    assert "powersave=little: not available here" in done.out
    assert "verdict: " in done.out


def test_the_document_goes_to_standard_output(bench, bundle):
    done = bench(bundle, *FEW, "--json", "--variants", "no-packing,threads=1,no-sgemm+bf16-storage")
    assert done.code == 0, done.err
    assert done.document["kind"] == "model"
    assert names(done.document) == ["fp32", "fp32+no-packing", "bf16-storage+no-sgemm"]
    assert done.document["settings"]["variants"] == names(done.document)
    assert all(len(row["samples_us"]) == 6 for row in done.document["rows"])
    assert done.document["rows"][0]["max_error"] < 1e-3


def test_the_first_variant_can_be_another(bench, bundle):
    done = bench(bundle, *FEW, "--json", "--mode", "bf16-storage", "--threads", "1", "--variants", "none")
    assert names(done.document) == ["bf16-storage"]


@pytest.mark.skipif(len(usable_cpus()) < 2, reason="needs two CPUs")
def test_threads_are_a_variant(bench, bundle):
    done = bench(bundle, *FEW, "--json", "--threads", "2", "--variants", "threads=1")
    assert names(done.document) == ["fp32+threads=2", "fp32"]


def test_a_bare_param_needs_a_shape(bench, tmp_path):
    path = tiny_target.param(tmp_path)
    assert bench(path, *FEW).code == 2
    done = bench(path, *FEW, "--json", "--shape", "1x3x20x12", "--variants", "none")
    assert done.code == 0, done.err
    assert done.document["target"]["shapes"] == [[1, 3, 20, 12]]


def test_layers(bench, bundle):
    done = bench(bundle, "--layers", *FEW)
    assert done.code == 0, done.err
    assert "ConvolutionDepthWise (depthwise)" in done.out
    assert "sum of layers " in done.out
    assert "note: no percent of the peak: it is not measured here" in done.out
    document = bench(bundle, "--layers", *FEW, "--json").document
    assert document["kind"] == "layers"
    assert names(document) == ["conv", "depthwise", "gate", "times", "mean", "head"]
    shown = bench(bundle, "--layers", "--all-layers", *FEW).out.splitlines()
    assert [line.split()[0] for line in shown[2:8]] == names(document)


def test_quick_is_few_rounds(bench, bundle):
    document = bench(bundle, "--quick", "--json", "--variants", "none").document
    assert (document["settings"]["rounds"], document["settings"]["seconds"]) == (10, 0.1)
    document = bench(bundle, "--quick", "--rounds", "3", "--min-time", "0", "--json", "--variants", "none").document
    assert document["rows"][0]["rounds"] == 3


def test_rest_is_taken(bench, bundle):
    done = bench(bundle, *FEW, "--json", "--variants", "none", "--cooldown", "0.001")
    assert done.document["settings"]["cooldown"] == 0.001


def test_files_are_written(bench, bundle, tmp_path):
    files = [tmp_path / name for name in ("result.json", "result.csv", "pyperf.json")]
    done = bench(
        bundle, *FEW, "--variants", "no-sgemm", "--save", files[0], "--csv", files[1], "--pyperf", files[2], "-q"
    )
    assert (done.code, done.out, done.err) == (0, "", "")
    document = json.loads(files[0].read_text())
    assert document["complete"]
    assert [row["name"] for row in csv.DictReader(files[1].open())] == names(document)
    suite = json.loads(files[2].read_text())
    assert [one["metadata"]["name"] for one in suite["benchmarks"]] == names(document)


def test_an_interrupt_leaves_what_was_measured(bench, bundle, tmp_path, monkeypatch):
    real = Session.measure

    def interrupted(self, cases, after_round=None, prefix=""):
        def stop(samples):
            after_round(samples)
            if len(samples["fp32"].seconds) == 4:
                raise KeyboardInterrupt

        return real(self, cases, stop, prefix)

    monkeypatch.setattr(Session, "measure", interrupted)
    done = bench(bundle, "--rounds", "50", "--json", "--variants", "none", "--save", tmp_path / "kept.json")
    assert done.code == 130
    assert done.err == "error: interrupted\n  -> what was measured until then is in the result\n"
    assert not done.document["complete"]
    assert done.document["rows"][0]["rounds"] == 4
    assert json.loads((tmp_path / "kept.json").read_text()) == done.document
    assert "interrupted: this is what was measured until then" in bench(bundle, "--variants", "none").out


def test_a_stable_machine_may_be_required(bench, bundle, root):
    quiet = bench(bundle, "--rounds", "3", "--min-time", "0", "--variants", "none", "--json", "--require-stable")
    assert quiet.code in (0, 6)  # the samples may scatter
    plant(root, {"sys/class/thermal/cooling_device0/cur_state": 5})
    done = bench(bundle, *FEW, "--require-stable", "--json")
    assert done.code == 6
    assert done.document["error"]["kind"] == "UnstableError"
    assert "the CPU is being slowed down (Processor at step 5)" in done.document["error"]["what"]


def test_what_makes_it_unstable_meanwhile_comes_after_the_result(bench, bundle, root, monkeypatch):
    real = Session.measure

    def heated(self, *arguments):
        plant(root, {"sys/class/thermal/cooling_device0/cur_state": 5})
        return real(self, *arguments)

    monkeypatch.setattr(Session, "measure", heated)
    done = bench(bundle, *FEW, "--require-stable", "--json", "--variants", "no-packing")
    assert done.code == 6
    assert done.document["verdict"] == []
    assert "throttled" in [warning["name"] for warning in done.document["warnings"]]
    assert done.err.startswith("error: --require-stable: no verdict on an unstable machine: ")


def test_under_emulation_there_are_no_times(bench, bundle, root, tmp_path):
    plant(root, {"proc/self/comm": "qemu-aarch64"})
    done = bench(bundle, "--variants", "no-packing")
    assert done.code == 0, done.err
    assert "p50" not in done.out
    assert "no times: the CPU is emulated; count instructions instead, with tools/icount" in done.out
    document = bench(bundle, "--variants", "no-packing", "--json").document
    assert document["emulated"]
    assert {row["p50_us"] for row in document["rows"]} == {None}
    assert document["rows"][0]["max_error"] < 1e-3
    refused = bench(bundle, "--pyperf", tmp_path / "pyperf.json")
    assert (refused.code, "times of an emulator are none" in refused.err) == (2, True)


def test_the_version(bench):
    assert bench("--version").out == f"dwca-bench {__version__}\n"


def test_help_names_the_commands(bench):
    text = bench("--help").out
    assert all(f"  {name} " in text for name in ("model", "kernels", "compare"))
    assert "--variants" in bench("model", "--help").out


def test_another_instance_is_warned_of(bench, bundle, tmp_path):
    from dwca_export.bench.alone import other_instance

    with other_instance(tmp_path):
        done = bench(bundle, *FEW, "--variants", "none")
    assert done.code == 0
    assert "warning: another dwca-bench is measuring" in done.out
    assert "another dwca-bench" not in bench(bundle, *FEW, "--variants", "none").out
