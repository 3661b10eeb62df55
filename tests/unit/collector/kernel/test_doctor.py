"""Broken hosts, simulated: each failure with its fix."""

import json

import msgspec
import pytest

from collector.cli.report import exit_code, show
from collector.kernel.doctor import diagnose
from collector.kernel.host_facts import HostFacts, gather
from collector.kernel.request import RungResult

LENGTH = RungResult(name="length", loaded=True, fired=True, cost_ns=500.0, blind_to=("sendfile's payload",))
EXIT = RungResult(name="exit", loaded=True, fired=True, blind_to=("sendfile's payload", "io_uring"))
NONE = tuple(
    RungResult(name=name, loaded=False, fired=False, reason="Operation not permitted")
    for name in ("length", "fexit", "kprobe", "exit")
)
HEALTHY = HostFacts(
    root=True,
    capabilities=(1 << 41) - 1,
    user="netscope",
    release="6.8.0-45-generic",
    machine="x86_64",
    lockdown="none",
    unprivileged_bpf_disabled="2",
    jit="1",
    btf=True,
    tracefs="/sys/kernel/tracing",
    bpffs="/sys/fs/bpf",
    cgroup2="/sys/fs/cgroup",
    cgroup1=False,
    container=False,
    host_pids=True,
    bcc="0.29.1",
    bpftool="bpftool v7.4.0",
    kernel_headers=False,
    cache="/var/cache/netscope",
    cache_warm=False,
    headers_cached=False,
    rungs=(LENGTH,),
)
DEAD = msgspec.structs.replace(HEALTHY, rungs=NONE)


def found(diagnosis, name):
    (check,) = [one for one in diagnosis.checks if one.name == name]
    return check


def test_healthy(capsys):
    diagnosis = diagnose(HEALTHY)
    assert diagnosis.can_observe
    assert {check.status for check in diagnosis.checks} == {"ok"}
    assert exit_code(diagnosis, strict=True) == 0
    show(diagnosis, HEALTHY, as_json=False, colour=False)
    said = capsys.readouterr().out
    assert "rung in use: length\n  cannot see: sendfile's payload\n" in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("change", "name", "fix"),
    [
        ({"root": False, "rungs": ()}, "root", "sudo"),
        ({"capabilities": 1 << 6 | 1 << 7 | 1 << 8 | 1 << 38}, "capabilities", "--cap-add BPF "),
        ({"capabilities": (1 << 41) - 1 - (1 << 7)}, "giving up root", "--cap-add SETUID "),
        ({"user": None}, "user", "adduser --system netscope"),
        ({"btf": False, "rungs": (), "problem": "no BTF"}, "BTF", "CONFIG_DEBUG_INFO_BTF"),
        ({"lockdown": "confidentiality"}, "lockdown", "integrity"),
        ({"release": "4.18.0-553.el8"}, "version", "newer kernel"),
        ({"release": "5.4"}, "version", "newer kernel"),
        ({"machine": "riscv64"}, "architecture", "arch.h"),
        ({"bcc": None}, "bcc", "apt-get install python3-bpfcc"),
        ({"bpftool": None}, "bpftool", "apt-get install bpftool"),
        ({}, "any rung", "one of the above"),
    ],
)
def test_broken_hosts_cannot_observe_and_say_the_fix(change, name, fix, capsys):
    facts = msgspec.structs.replace(DEAD, **change)
    diagnosis = diagnose(facts)
    assert (found(diagnosis, name).status, diagnosis.can_observe, diagnosis.rung) == ("failed", False, None)
    assert fix in found(diagnosis, name).fix
    assert exit_code(diagnosis, strict=False) == 3
    show(diagnosis, facts, as_json=False, colour=True)
    said = capsys.readouterr().out
    assert fix in said
    assert "\x1b[31mFAIL" in said
    assert "cannot see: anything" in said


@pytest.mark.parametrize(
    ("change", "name", "fix"),
    [
        ({"tracefs": None}, "tracefs", "mount -t tracefs"),
        ({"container": True, "host_pids": False}, "namespaces", "--pid=host"),
        ({"cgroup2": None}, "cgroup v2", "mount -t cgroup2"),
        ({"jit": "0"}, "JIT", "bpf_jit_enable=1"),
        ({"bcc": None, "cache_warm": True}, "bcc", "apt-get"),
        ({"bpftool": None, "headers_cached": True}, "bpftool", "apt-get"),
        ({"bpf_stats": "1"}, "statistics", "kernel.bpf_stats_enabled=0"),
        ({"rungs": (*NONE[:3], EXIT)}, "length", "Linux 6.3"),
    ],
)
def test_lesser_hosts_observe_with_a_warning(change, name, fix, capsys):
    facts = msgspec.structs.replace(HEALTHY, **change)
    diagnosis = diagnose(facts)
    assert (found(diagnosis, name).status, diagnosis.can_observe) == ("warning", True)
    assert fix in found(diagnosis, name).fix
    assert (exit_code(diagnosis, strict=False), exit_code(diagnosis, strict=True)) == (0, 4)
    show(diagnosis, facts, as_json=True, colour=False)
    said = json.loads(capsys.readouterr().out)
    assert (said["can_observe"], said["rung"]) == (True, diagnosis.rung)
    assert said["facts"]["release"] == "6.8.0-45-generic"


def test_a_container_with_the_pids_of_the_host_lacks_nothing():
    diagnosis = diagnose(msgspec.structs.replace(HEALTHY, container=True))
    assert found(diagnosis, "namespaces").status == "ok"
    assert exit_code(diagnosis, strict=True) == 0


def test_an_old_version_number_is_no_failure_where_a_rung_fires():
    diagnosis = diagnose(msgspec.structs.replace(HEALTHY, release="4.18.0-553.el8"))
    assert (found(diagnosis, "version").status, diagnosis.can_observe) == ("warning", True)


def test_worse_rungs_that_are_missing_are_only_noted():
    diagnosis = diagnose(msgspec.structs.replace(HEALTHY, rungs=(LENGTH, *NONE[1:])))
    assert [found(diagnosis, name).status for name in ("length", "fexit", "kprobe", "exit")] == ["ok", *["note"] * 3]
    assert exit_code(diagnosis, strict=True) == 0


def test_the_rung_in_use_says_what_it_cannot_see():
    diagnosis = diagnose(msgspec.structs.replace(HEALTHY, rungs=(*NONE[:3], EXIT)))
    assert (diagnosis.rung, diagnosis.cannot_see) == ("exit", ("sendfile's payload", "io_uring"))
    assert [found(diagnosis, name).status for name in ("length", "fexit", "kprobe")] == ["warning"] * 3


def test_facts_of_this_host_without_root(monkeypatch, tmp_path):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    facts = gather(str(tmp_path), "netscope")
    assert (facts.root, facts.rungs, facts.cache_warm) == (False, (), False)
    assert facts.release
    assert exit_code(diagnose(facts), strict=False) == 3


@pytest.mark.parametrize(
    ("change", "name"),
    [({"user": None}, "user"), ({"capabilities": (1 << 41) - 1 - (1 << 6)}, "giving up root")],
)
def test_a_rung_that_fires_does_not_prove_what_is_wanted_afterwards(change, name):
    diagnosis = diagnose(msgspec.structs.replace(HEALTHY, **change))
    assert (found(diagnosis, name).status, diagnosis.can_observe) == ("failed", False)


UNTYPED = {"untyped": "BTF cannot be read: wrong magic number"}
KPROBE = RungResult(name="kprobe", loaded=True, fired=True)


def test_without_btf_kernel_headers_are_a_warning():
    rungs = (NONE[0], NONE[1], KPROBE)
    diagnosis = diagnose(msgspec.structs.replace(HEALTHY, **UNTYPED, kernel_headers=True, rungs=rungs))
    assert (diagnosis.can_observe, diagnosis.rung) == (True, "kprobe")
    assert (found(diagnosis, "BTF").status, found(diagnosis, "BTF").detail) == ("warning", UNTYPED["untyped"])
    assert found(diagnosis, "kernel headers").status == "ok"


def test_with_neither_btf_nor_headers_the_fix_is_to_install_them():
    diagnosis = diagnose(msgspec.structs.replace(DEAD, **UNTYPED))
    assert found(diagnosis, "BTF").status == found(diagnosis, "kernel headers").status == "failed"
    assert found(diagnosis, "kernel headers").fix == "apt-get install linux-headers-6.8.0-45-generic"
    assert exit_code(diagnosis, strict=False) == 3


def test_a_cost_that_noise_has_swallowed_is_no_number():
    rung = msgspec.structs.replace(LENGTH, cost_ns=-900.0)
    assert "noise" in found(diagnose(msgspec.structs.replace(HEALTHY, rungs=(rung,))), "length").detail
