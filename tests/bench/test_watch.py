from __future__ import annotations

from planted_system import cpu_line, plant, quiet_machine

from dwca_export.bench.conditions import usable_cpus
from dwca_export.bench.watch import Watch


def set_clock(root, khz):
    plant(root, {f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq": khz for cpu in usable_cpus()})


def test_the_course_of_a_measurement(tmp_path):
    root, now = quiet_machine(tmp_path), [0.0]
    watch = Watch(root, lambda: now[0])
    watch.look()
    set_clock(root, 900_000)
    watch.look()  # too soon to look again
    assert watch.course().last_mhz == 2000.0
    now[0] = 1.5
    plant(root, {"sys/class/thermal/cooling_device0/cur_state": 4, "proc/stat": cpu_line(100, 990, 110)})
    watch.look()
    plant(root, {"sys/class/thermal/cooling_device0/cur_state": 0})
    now[0] = 3.0
    watch.look()
    course = watch.course()
    assert (course.first_mhz, course.last_mhz) == (2000.0, 900.0)
    assert course.throttling == ("Processor at step 4",)
    assert course.stolen == 110 / 200


def test_where_nothing_is_readable(tmp_path):
    watch = Watch(tmp_path)
    watch.look()
    course = watch.course()
    assert (course.first_mhz, course.last_mhz, course.throttling, course.stolen) == (None, None, (), None)
