"""What the harness says of a run, without booting anything."""

import itertools
import json
import os
import re
import subprocess
import sys

import pytest

from tests.support.watching import KEPT
from tests.vm import machine, prove, report, suite

RECORD = json.loads(prove.RECORDED.read_text())


def result(*told, status=0):
    return {"kernel": "6.1", "status": status, "output": "end of the console", "told": list(told)}


def traffic(rung, **more):
    return {"told": "traffic", "rung": rung, "record": {**RECORD, "rung": rung, **more}}


def test_the_same_events_are_no_complaint():
    assert prove.complaints(result(traffic("fexit"), traffic("kprobe")), ("fexit", "kprobe")) == []


def test_a_rung_that_must_fire_is_missed():
    assert prove.complaints(result(traffic("fexit")), ("fexit", "kprobe")) == ["kprobe: does not fire"]


def test_another_value_is_named():
    events = [{**event, "target": "/other"} for event in RECORD["exchanges"]]
    (said,) = prove.complaints(result(traffic("fexit", exchanges=events)), ("fexit",))
    assert said.startswith("fexit: exchanges miss")


def test_the_watch_must_use_the_rung_that_was_asked_for():
    told = {**traffic("fexit"), "record": {**RECORD, "rung": "exit"}}
    assert prove.complaints(result(told), ("fexit",)) == ["fexit: the watch used exit"]


def test_a_machine_that_ends_badly():
    said = prove.complaints(result(status=124), ("fexit",))
    assert said == ["ended with status 124: end of the console", "fexit: does not fire"]


def test_the_page():
    rungs = {
        "length": {"fired": False, "exact": False, "reason": "this kernel has no x", "cannot_see": []},
        "fexit": {"fired": True, "exact": True, "reason": "", "cannot_see": ["Multipath TCP"]},
    }
    rungs["fexit"]["suite"] = {
        "date": "2026-01-03",
        "passed": 7,
        "boot_to_verdict_s": 90,
        "failed": ["test_x::test_y"],
        "skipped": {"a": "no b"},
    }
    rungs["fexit"]["suite"]["repeated"] = ["test_x::test_z"]
    rungs["fexit"]["instructions_per_call"] = 500
    line = {"status": "warning", "detail": "a | b", "fix": "do c"}
    hosts = {"broken": {"as_it_must_be": True, "line": line}}
    others = {"trixie": {"python": "3.13", "bcc": "0.31.0", "passed": 9, "failed": [], "date": "2026-01-04"}}
    page = report.text(
        {"6.1": {"release": "6.1.0-1", "date": "2026-01-02", "rungs": rungs, "hosts": hosts}}, RECORD, others
    )
    assert "| 6.1 | 6.1.0-1 | 2026-01-02 | - | exact |" in page
    assert "- **length**: not here: this kernel has no x" in page
    assert "- **fexit**: Multipath TCP" in page
    assert "| 6.1 | 6.1.0-1 | - | 7 (1 of them repeated) in 90 s, failed test_x::test_y (2026-01-03) |" in page
    assert "- `a`: no b\n" in page
    assert "| trixie | 3.13 | 0.31.0 | 9 (2026-01-04) |" in page
    assert "| 6.1 | 6.1.0-1 | - | - | 500 (1.00) |" in page
    assert "| 6.1 | broken | warning: a \\| b | do c | yes |" in page


def test_what_the_kernel_owns_up_to_is_told_apart_from_failures(tmp_path):
    said = f"warning: {KEPT.decode()} 2 calls from us"
    report = tmp_path / "report.xml"
    report.write_text(f"""<testsuite>
        <testcase classname="tests.kernel.test_x" name="test_good"/>
        <testcase classname="tests.kernel.test_x" name="test_bad"><failure>1 == 2</failure></testcase>
        <testcase classname="tests.kernel.test_x" name="test_kept[1]"><failure>1 == 2</failure><system-err>{said}</system-err></testcase>
        <testcase classname="tests.kernel.test_x" name="test_not"><skipped message="cannot be done on this kernel: no y"/></testcase>
    </testsuite>""")
    found = suite.counted(report)
    assert found["passed"] == ["tests/kernel/test_x.py::test_good"]
    assert found["failed"] == ["tests/kernel/test_x.py::test_bad"]
    assert found["kept"] == ["tests/kernel/test_x.py::test_kept[1]"]
    assert found["skipped"] == {"tests/kernel/test_x.py::test_not": "no y"}


SHARED = """
import time
import pytest

@pytest.fixture(scope="module", autouse=True)
def held():
    yield
    time.sleep(0.02)

@pytest.mark.parametrize("number", range(8))
def test_it(number):
    with open("ran", "a") as file:
        file.write(f"{__name__}-{number}\\n")
    time.sleep(0.05)
"""


def test_what_takes_long_comes_first_and_all_else_in_its_order():
    seconds = {"a": 1.0, "b": 4.0, "c": 8.0, "d": 15.0, "e": 1.0}
    assert suite.longest_first(["a", "b", "c", "d", "e"], seconds) == ["d", "c", "a", "b", "e"]


def test_machines_share_a_list_each_test_runs_once_and_what_is_set_up_is_torn_down(pytester, monkeypatch):
    for module in "abc":
        pytester.makepyfile(**{f"test_{module}": SHARED})
    (pytester.path / "taken").mkdir()
    monkeypatch.setenv("TEST_TAKEN", str(pytester.path / "taken"))
    words = [sys.executable, "-m", "pytest", "-q", "-p", "tests.vm.taking", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(prove.ROOT)}
    started = [
        subprocess.Popen(words, cwd=pytester.path, env=environment, stdout=subprocess.PIPE, text=True) for _ in "12"
    ]
    outputs = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    ran = (pytester.path / "ran").read_text().split()
    assert sorted(ran) == sorted(f"test_{module}-{number}" for module in "abc" for number in range(8))
    assert sum(int(re.findall(r"(\d+) passed", output)[0]) for output in outputs) == 24


def test_what_chooses_rungs_itself_runs_once_on_a_kernel_and_all_else_on_every_rung():
    names = [
        "tests/kernel/test_heads.py::a",
        *(f"tests/kernel/test_ladder.py::{n}" for n in range(5)),
        "tests/kernel/test_time.py::b",
    ]
    rungs = ["fexit", "kprobe", "exit"]
    shares = [suite.share(names, rung, rungs) for rung in rungs]
    assert all(share[0] == names[0] and share[-1] == names[-1] for share in shares)
    assert sorted(itertools.chain(*(share[1:-1] for share in shares))) == names[1:-1]
    assert [len(share) for share in shares] == [4, 4, 3]


def test_one_line_where_the_emulator_is_missing(monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda program, path: None if "qemu" in program else "/bin/x")
    assert machine.missing() == "emulated kernels need: apt-get install qemu-system-x86"


@pytest.mark.parametrize("name", ["5.10", "6.1", "6.12", "6.18", "7.2"])
def test_every_kernel_has_rungs_that_must_fire(name):
    assert prove.MUST_FIRE[name]
