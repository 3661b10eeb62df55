"""Broken hosts, simulated: each failure with its fix."""

import msgspec
import pytest

from collector.cli.report import show
from collector.kernel.doctor import diagnose
from collector.kernel.host_facts import HostFacts
from collector.kernel.request import RungResult

LENGTH = RungResult(name="length", loaded=True, fired=True, cost_ns=500.0, blind_to=("sendfile's payload",))
HEALTHY = HostFacts(
    root=True,
    release="6.8.0-45-generic",
    machine="x86_64",
    btf=True,
    tracefs=True,
    cgroup2="/sys/fs/cgroup",
    lockdown="none",
    unprivileged_bpf_disabled="2",
    jit="1",
    bcc="0.29.1",
    bpftool=True,
    kernel_headers=False,
    container=False,
    cache_warm=False,
    rungs=(LENGTH,),
)


def test_healthy(capsys):
    diagnosis = diagnose(HEALTHY)
    assert diagnosis.can_observe
    assert (diagnosis.rung, diagnosis.cannot_see) == ("length", ("sendfile's payload",))
    assert show(diagnosis, as_json=False, strict=True) == 0
    assert "rung in use: length" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "check", "fix"),
    [
        ({"root": False, "rungs": ()}, "root", "sudo"),
        ({"btf": False}, "BTF", "CONFIG_DEBUG_INFO_BTF"),
        ({"lockdown": "confidentiality"}, "lockdown", "integrity"),
        ({"release": "4.18.0"}, "version", "newer kernel"),
        ({"machine": "riscv64"}, "architecture", "arch.h"),
        ({"bcc": None}, "bcc", "apt-get install python3-bpfcc"),
        ({"bpftool": False}, "bpftool", "apt-get install bpftool"),
        ({"rungs": (RungResult(name="length", loaded=False, fired=False, reason="EPERM"),)}, "any rung", "kprobes"),
    ],
)
def test_broken_hosts_cannot_observe_and_say_the_fix(change, check, fix, capsys):
    diagnosis = diagnose(msgspec.structs.replace(HEALTHY, **change))
    (found,) = [one for one in diagnosis.checks if one.name == check]
    assert (found.status, diagnosis.can_observe) == ("failed", False)
    assert fix in found.fix
    assert show(diagnosis, as_json=False, strict=False) == 3
    assert fix in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"tracefs": False}, "tracefs"),
        ({"container": True}, "container"),
        ({"cgroup2": None}, "cgroup v2"),
        ({"jit": "0"}, "JIT"),
        ({"bcc": None, "cache_warm": True}, "bcc"),
    ],
)
def test_lesser_hosts_observe_with_a_warning(change, check, capsys):
    diagnosis = diagnose(msgspec.structs.replace(HEALTHY, **change))
    (found,) = [one for one in diagnosis.checks if one.name == check]
    assert (found.status, bool(found.fix), diagnosis.can_observe) == ("warning", True, True)
    assert show(diagnosis, as_json=True, strict=False) == 0
    assert show(diagnosis, as_json=True, strict=True) == 4
    capsys.readouterr()
