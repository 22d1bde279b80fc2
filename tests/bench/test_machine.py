from __future__ import annotations

import platform

from planted_system import BIG_LITTLE, X86, plant

from dwca_export.bench.machine import read_machine


def test_this_machine_is_not_emulated_and_has_a_name():
    machine = read_machine()
    assert machine.emulated == ""
    assert machine.cpu
    assert machine.architecture == platform.machine()
    assert machine.cores >= 1


def test_an_x86_machine(tmp_path):
    machine = read_machine(plant(tmp_path, {"proc/cpuinfo": X86}), "x86_64")
    assert machine.cpu == "Some CPU @ 2 GHz"
    assert machine.isa == ("avx", "fma", "avx2")
    assert not machine.virtual


def test_cores_of_two_kinds_are_counted(tmp_path):
    files = {"proc/cpuinfo": BIG_LITTLE, "proc/device-tree/model": "Radxa ROCK 5B\0"}
    machine = read_machine(plant(tmp_path, files), "aarch64")
    assert machine.cpu == "4 x Cortex-A55 + 4 x Cortex-A76"
    assert machine.board == "Radxa ROCK 5B"
    assert machine.isa == ("asimd", "asimdhp")


def test_unknown_cores_keep_their_numbers(tmp_path):
    text = "CPU implementer\t: 0x61\nCPU part\t: 0x022\nCPU implementer\t: 0x41\nCPU part\t: 0xfff\n"
    machine = read_machine(plant(tmp_path, {"proc/cpuinfo": text}), "aarch64")
    assert machine.cpu == "1 x implementer 0x61 part 0x022 + 1 x implementer 0x41 part 0xfff"


def test_a_virtual_machine_is_known_by_its_flag(tmp_path):
    assert read_machine(plant(tmp_path, {"proc/cpuinfo": X86 + "flags : hypervisor avx"}), "x86_64").virtual is False
    assert read_machine(plant(tmp_path, {"proc/cpuinfo": "flags : hypervisor avx"}), "x86_64").virtual


def test_where_nothing_is_readable_the_architecture_is_the_name(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "processor", lambda: "")
    machine = read_machine(tmp_path, "riscv64")
    assert (machine.cpu, machine.isa, machine.emulated) == ("riscv64", (), "")


def test_of_an_emulated_machine_nothing_is_told_that_is_the_hosts(tmp_path):
    machine = read_machine(plant(tmp_path, {"proc/cpuinfo": X86}), "aarch64")
    assert machine.emulated == "/proc/cpuinfo is not that of aarch64"
    assert (machine.cpu, machine.isa) == ("emulated", ())
