from __future__ import annotations

import os

import pytest
from planted_system import cpu_line, plant, quiet_machine, stat_line

from dwca_export.bench.conditions import cpu_quota, read_conditions, throttling, usable_cpus
from dwca_export.bench.processes import activity


def nap(_):
    """No time passes."""


@pytest.fixture
def root(tmp_path):
    return quiet_machine(tmp_path)


def test_a_quiet_machine(root):
    found = read_conditions(root, nap)
    assert found.governors == ("performance",)
    assert found.mhz == 2000.0
    assert found.celsius == {"cpu-thermal": 45.0}
    assert found.throttling == ()
    assert found.throttled == 3 * len(usable_cpus())
    assert found.load == 0.0
    assert found.quota is None


def test_where_nothing_is_readable_nothing_is_claimed(tmp_path):
    found = read_conditions(tmp_path, nap)
    assert (found.governors, found.mhz, found.celsius, found.throttled, found.load) == ((), None, {}, None, None)
    assert (found.others.busy, found.others.cpus, found.others.steal) == ((), None, None)


def test_this_machine_can_be_read():
    found = read_conditions()
    assert found.cpus == usable_cpus()


@pytest.mark.parametrize(
    ("files", "seen"),
    [
        ({"sys/class/thermal/cooling_device0/cur_state": 2}, "Processor at step 2"),
        (
            {
                "sys/class/thermal/cooling_device3/type": "thermal-cpufreq-0",
                "sys/class/thermal/cooling_device3/cur_state": 1,
            },
            "thermal-cpufreq-0 at step 1",
        ),
        ({"sys/devices/platform/soc/soc:firmware/get_throttled": "0x50005"}, "firmware: under-voltage"),
        ({"sys/devices/platform/soc/soc:firmware/get_throttled": "0x4"}, "firmware: throttled"),
    ],
)
def test_throttling_is_seen(root, files, seen):
    assert seen in throttling(plant(root, files))


@pytest.mark.parametrize(
    "files",
    [
        {"sys/class/thermal/cooling_device1/type": "pwm-fan", "sys/class/thermal/cooling_device1/cur_state": 3},
        {
            "sys/class/thermal/cooling_device1/type": "intel_powerclamp",
            "sys/class/thermal/cooling_device1/cur_state": -1,
        },
        {"sys/devices/platform/soc/soc:firmware/get_throttled": "0x50000"},  # of some time since the start
        {"sys/class/thermal/cooling_device1/type": "Processor"},  # its state cannot be read
        {"sys/class/thermal/cooling_device0/cur_state": "what"},
    ],
)
def test_what_does_not_throttle_the_cpu(root, files):
    assert throttling(plant(root, files)) == ()


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "150000 100000"}, 1.5),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/cpu.max": "50000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000",
            },
            0.5,
        ),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2.0),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/x\n1:name=systemd:/y",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "250000",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000",
            },
            2.5,
        ),
        ({"proc/self/cgroup": "4:cpu:/x", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "-1"}, None),
        ({"proc/self/cgroup": "4:memory:/x", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "1000"}, None),
        ({"proc/self/cgroup": "nonsense"}, None),
        ({}, None),
    ],
)
def test_the_limit_of_a_container(tmp_path, files, quota):
    assert cpu_quota(plant(tmp_path, files)) == quota


def watch(tmp_path, before, after):
    plant(tmp_path, before)
    return activity(tmp_path, lambda _: plant(tmp_path, after))


def test_busy_processes_are_named(tmp_path):
    cores = os.cpu_count()
    before = {
        "proc/stat": cpu_line(0, 0),
        "proc/12/stat": stat_line(12, "make (all)", 100),
        "proc/13/stat": stat_line(13, "sh", 5),
    }
    after = {
        "proc/stat": cpu_line(50, 50),
        "proc/12/stat": stat_line(12, "make (all)", 140),
        "proc/13/stat": stat_line(13, "sh", 5),
    }
    found = watch(tmp_path, before, after)
    assert [(one.pid, one.name) for one in found.busy] == [(12, "make (all)")]
    assert found.busy[0].cpus == pytest.approx(0.4 * cores)
    assert found.cpus == pytest.approx(0.5 * cores)


def test_this_process_and_its_children_are_not_others(tmp_path):
    own = os.getpid()
    before = {"proc/stat": cpu_line(0, 0), f"proc/{own}/stat": stat_line(own, "python", 0)}
    before |= {"proc/7/stat": stat_line(7, "worker", 0, own), "proc/8/stat": stat_line(8, "grandchild", 0, 7)}
    after = {"proc/stat": cpu_line(100, 0), f"proc/{own}/stat": stat_line(own, "python", 90)}
    after |= {"proc/7/stat": stat_line(7, "worker", 90, own), "proc/8/stat": stat_line(8, "grandchild", 90, 7)}
    assert watch(tmp_path, before, after).busy == ()


def test_processes_that_end_or_make_no_sense_are_passed_over(tmp_path):
    before = {"proc/stat": cpu_line(0, 0), "proc/12/stat": stat_line(12, "gone", 0), "proc/13/stat": "13 (cut"}
    plant(tmp_path, before)

    def meanwhile(_):
        (tmp_path / "proc/12/stat").unlink()
        plant(tmp_path, {"proc/stat": cpu_line(100, 0), "proc/14/stat": stat_line(14, "new", 90)})

    assert activity(tmp_path, meanwhile).busy == ()


def test_time_that_the_hypervisor_took(tmp_path):
    assert watch(tmp_path, {"proc/stat": cpu_line(0, 0)}, {"proc/stat": cpu_line(60, 30, 10)}).steal == pytest.approx(
        0.1
    )
