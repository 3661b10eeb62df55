"""`python -m tests.vm.hosts [KERNEL...]`: hosts that lack something, made for real in a machine, and what doctor says of each.

Every host is a mount (or PID) namespace of its own in one boot. Doctor's line is checked, then its fix is applied where it
is a command, and doctor is asked again; what doctor says will happen is what a watch then does.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from tests.vm.inside import CACHE, take_cache, tell
from tests.vm.kernels import BY_NAME, ROOT, STORE, CannotHave, with_headers
from tests.vm.machine import Settings, prepare, run
from tests.vm.prove import RESULTS, alone
from tests.vm.warm import btf_section, warm

_NAMESPACE = ("unshare", "--mount", "--propagation", "private")
_CONTAINER = ("unshare", "--mount", "--pid", "--fork", "--cgroup", "--mount-proc", "--propagation", "private")
_BTF = "/sys/kernel/btf"
_HEADERS = 'mount --bind "$HEADERS" /usr/src'
_NO_CAPABILITIES = ("setpriv", "--bounding-set", "-sys_admin,-bpf,-perfmon", "--inh-caps", "-all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host: how it comes about, and what doctor has to say."""

    name: str
    script: str = ""  # in the namespace, before doctor
    check: str
    status: str
    says: str  # regular expression: in the detail
    fix: str = ""  # regular expression: in the fix
    observes: bool = True  # exit 0, and a watch starts; else 3
    within: tuple[str, ...] = _NAMESPACE
    becomes: tuple[str, ...] = ()  # in the namespace, around doctor
    apply: bool = False  # doctor's fix is a command: afterwards the check is good
    after: str = ""  # in the machine, to undo what a namespace does not hold


HOSTS = (
    Host(name="as it should be", check="cgroup v2", status="ok", says="^/sys/fs/cgroup$"),
    Host(name="kernel.unprivileged_bpf_disabled=1", script="sysctl -qw kernel.unprivileged_bpf_disabled=1",
         check="other users", status="ok", says="= 1"),
    Host(name="kernel.bpf_stats_enabled=1", script="sysctl -qw kernel.bpf_stats_enabled=1", check="statistics",
         status="warning", says="= 1", fix="^sysctl -w kernel.bpf_stats_enabled=0", apply=True,
         after="sysctl -qw kernel.bpf_stats_enabled=0"),
    Host(name="no tracefs", script="umount /sys/kernel/tracing; umount -l /sys/kernel/debug", check="tracefs",
         status="warning", says="not mounted", fix="^mount -t tracefs", apply=True),
    Host(name="cgroups hybrid",
         script="umount /sys/fs/cgroup; mount -t tmpfs c /sys/fs/cgroup; mkdir /sys/fs/cgroup/unified /sys/fs/cgroup/cpu;"
                " mount -t cgroup2 c /sys/fs/cgroup/unified; mount -t cgroup -o cpu c /sys/fs/cgroup/cpu",
         check="cgroup v2", status="ok", says="unified .hybrid"),
    Host(name="no cgroup2", script="umount /sys/fs/cgroup; mount -t tmpfs c /sys/fs/cgroup; mkdir /sys/fs/cgroup/unified",
         check="cgroup v2", status="warning", says="not mounted", fix="^mount -t cgroup2 none /sys/fs/cgroup/unified",
         apply=True),
    Host(name="container", script="touch /run/.containerenv", within=_CONTAINER, check="namespaces", status="warning",
         says="in a container, with PIDs of its own", fix="--pid=host"),
    Host(name="container without BPF and PERFMON", within=_CONTAINER, becomes=_NO_CAPABILITIES, check="capabilities",
         status="failed", says="missing: CAP_PERFMON, CAP_BPF", fix="--cap-add PERFMON,BPF", observes=False),
    Host(name="container without the host's user names", within=_CONTAINER,
         script="echo root:x:0:0::/root:/bin/sh >/tmp/p; mount --bind /tmp/p /etc/passwd;"
                " echo passwd: files >/tmp/n; mount --bind /tmp/n /etc/nsswitch.conf",
         check="user", status="failed", says="no user to become", fix="adduser --system", observes=False),
    Host(name="container that may not become another user", within=_CONTAINER,
         becomes=("setpriv", "--bounding-set", "-setuid", "--inh-caps", "-all"), check="giving up root",
         status="failed", says="missing: CAP_SETUID", fix="--cap-add SETUID", observes=False),
    Host(name="BTF missing", script=f"mount -t tmpfs b {_BTF}; mount -t tmpfs b /usr/src", check="BTF",
         status="failed", says="cannot be read", fix="apt-get install linux-headers-", observes=False),
    Host(name="BTF missing, kernel headers installed", script=f"mount -t tmpfs b {_BTF}; {_HEADERS}", check="BTF",
         status="warning", says="cannot be read", fix="CONFIG_DEBUG_INFO_BTF=y"),
    Host(name="BTF cut short, kernel headers installed",
         script=f"head -c 3000000 {_BTF}/vmlinux >/tmp/v; mount --bind /tmp/v {_BTF}/vmlinux; {_HEADERS}",
         check="BTF", status="warning", says="cannot be read", fix="CONFIG_DEBUG_INFO_BTF=y"),
    Host(name="no bcc", script="mount -t tmpfs b /usr/lib/python3/dist-packages/bcc", check="bcc", status="warning",
         says="not importable .*in the cache", fix="^apt-get install python3-bpfcc"),
    Host(name="no bcc, nothing in the cache",
         script=f"mount -t tmpfs b /usr/lib/python3/dist-packages/bcc; mount -t tmpfs -o mode=700 c {CACHE}",
         check="bcc", status="failed", says="not importable", fix="^apt-get install python3-bpfcc", observes=False),
    Host(name="lockdown=integrity", script="echo integrity >/sys/kernel/security/lockdown", check="lockdown", status="ok",
         says="integrity"),
    Host(name="lockdown=confidentiality", script="echo confidentiality >/sys/kernel/security/lockdown",
         check="lockdown", status="failed", says="confidentiality", fix="boot with lockdown=integrity", observes=False),
)  # fmt: skip  # lockdown last: it cannot be lowered again


def _collector(host: Host, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    shell = f'{{\n{script}\n:\n}} >/dev/null\nexec "$@"'
    command = [*host.within, "sh", "-c", shell, "sh", *host.becomes, sys.executable, "-m", "collector", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _diagnosis(host: Host, script: str) -> tuple[int, dict[str, Any]]:
    done = _collector(host, script, "doctor", "--json")
    if not done.stdout:
        raise AssertionError(f"doctor: {done.stderr[-1500:]}")
    return done.returncode, json.loads(done.stdout)


def _line(diagnosis: dict[str, Any], name: str) -> dict[str, str]:
    return next(check for check in diagnosis["checks"] if check["name"] == name)


def complaints(host: Host) -> tuple[list[str], dict[str, str]]:
    """Return what is not as it must be, and doctor's line."""
    status, diagnosis = _diagnosis(host, host.script)
    line = _line(diagnosis, host.check)
    said = []
    if (
        line["status"] != host.status
        or not re.search(host.says, line["detail"])
        or not re.search(host.fix, line["fix"])
    ):
        said.append(f"says {line}")
    if status != (0 if host.observes else 3):
        said.append(f"exits {status}: {[c for c in diagnosis['checks'] if c['status'] != 'ok']}")
    watch = _collector(host, host.script, "watch", "--json", "--duration", "0.1")
    if watch.returncode != (0 if host.observes else 3):
        said.append(f"a watch exits {watch.returncode}: {watch.stderr[-600:]}")
    if host.apply:
        command = line["fix"].partition(":")[0].partition(" (")[0]
        _, diagnosis = _diagnosis(host, f"{host.script}\n{command}")
        if _line(diagnosis, host.check)["status"] != "ok":
            said.append(f"after {command!r} says {_line(diagnosis, host.check)}")
    if host.after:
        subprocess.run(host.after, shell=True, check=True)
    return said, {**line, "watch": (watch.stderr.strip().splitlines() or [""])[-1]}


def inside(cache: str, wanted: str) -> None:
    """Make every host, one after the other, and tell."""
    os.chdir(ROOT)
    take_cache(cache)
    for host in (host for host in HOSTS if re.search(wanted, host.name)):
        started = time.monotonic()
        line: dict[str, str] = {}
        try:
            said, line = complaints(host)
        except (AssertionError, StopIteration, OSError, ValueError, subprocess.SubprocessError) as problem:
            said = [repr(problem)[:2000]]
        tell("host", name=host.name, complaints=said, line=line, seconds=round(time.monotonic() - started, 1))


def ask(name: str, wanted: str) -> list[dict[str, Any]]:
    """Boot a kernel and return what was told of each host. Raises CannotHave."""
    kernel = BY_NAME[name]
    cache = STORE / "share" / f"cache-{kernel.name}-{kernel.flavour}"
    with alone():
        held = with_headers(kernel)
        warm(btf_section(prepare(kernel, held) / "vmlinux"), held.release, cache)
        command = [str(ROOT / ".venv/bin/python"), "-m", "tests.vm.hosts", "--inside", str(cache), "--only", wanted]
        environment = {"HEADERS": str(held.root / "usr/src")}
        done = run(
            kernel,
            command,
            settings=Settings(seconds=3600, environment=environment),
            share=STORE / "share",
            sink=sys.stderr.buffer,
        )
    told = [json.loads(line) for line in done.output.splitlines() if line.startswith('{"told"')]
    if done.status:
        told.append({"told": "host", "name": "the machine", "complaints": [done.output[-3000:]], "line": {}})
    return told


def keep(name: str, told: list[dict[str, Any]]) -> None:
    """Put doctor's lines into docs/reference/kernels.json."""
    results = json.loads(RESULTS.read_text())
    results[name].setdefault("hosts", {}).update(
        {one["name"]: {"as_it_must_be": not one["complaints"], "line": one["line"]} for one in told if one["line"]}
    )
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("kernels", nargs="*", metavar="KERNEL", help=f"of {', '.join(BY_NAME)}; none: 6.1")
    words.add_argument("--only", default="", help="hosts whose name has this (a regular expression)")
    words.add_argument("--inside", metavar="CACHE", help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.inside:
        inside(asked.inside, asked.only)
        return 0
    status = 0
    for name in asked.kernels or ["6.1"]:
        try:
            told = ask(name, asked.only)
        except CannotHave as reason:
            print(f"kernel {name}: cannot be had: {reason}", file=sys.stderr)
            return 2
        for one in told:
            print(f"kernel {name}, {one['name']}: {'FAILED' if one['complaints'] else 'as it must be'}", flush=True)
            for line in one["complaints"]:
                print(f"  {line}")
            status |= bool(one["complaints"])
        keep(name, told)
    with contextlib.suppress(FileNotFoundError):
        from tests.vm import report

        report.write()
    return status


if __name__ == "__main__":
    sys.exit(main())
