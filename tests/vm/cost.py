"""`python -m tests.vm.cost [KERNEL...]`: what each rung's programs execute for one send or receive, in instructions.

The emulator counts instructions as time (-icount shift=0: one is one nanosecond), so the kernel's run statistics of BPF
programs (kernel.bpf_stats_enabled) are instructions here, the same on a busy host as on a quiet one. What a kprobe's trap or
a trampoline costs around the programs is not in them. It goes to docs/reference/kernels.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from typing import Any

from tests.vm.inside import take_cache, tell
from tests.vm.kernels import BY_NAME, KERNELS, ROOT, STORE, CannotHave, unpacked
from tests.vm.machine import Settings, prepare, run
from tests.vm.prove import MUST_FIRE, RESULTS, alone
from tests.vm.warm import btf_section, warm

_PAIRS = 400
_CALLS = 4 * _PAIRS  # an exchange is two sends and two receives, all by the watched process


def _statistics() -> dict[str, int]:
    """Return name -> what its programs have run so far, in the machine's nanoseconds."""
    said = subprocess.run(["bpftool", "-j", "prog", "show"], check=True, capture_output=True, text=True).stdout
    found: dict[str, int] = {}
    for program in json.loads(said):
        name = program.get("name", "?")
        found[name] = found.get(name, 0) + program.get("run_time_ns", 0)
    return found


def _measure(rung: str) -> dict[str, int]:
    from tests.support.sockets import exchange, request, response, tcp_pair
    from tests.support.watching import Watch

    with tcp_pair() as (client, server):
        watching = Watch("--pid", os.getpid(), rung=rung)
        exchange(client, server, request("/first"), response())
        before = _statistics()
        for _ in range(_PAIRS):
            exchange(client, server, request("/cost", trace="a" * 32), response(b"x" * 100))
        after = _statistics()
    watching.stop()
    assert watching.summary["rung"] == rung
    return {
        name: round((ran - before.get(name, 0)) / _CALLS) for name, ran in after.items() if ran > before.get(name, 0)
    }


def _start() -> tuple[str, float]:
    """Return the rung that is chosen, and what a watch executes from its start to its first event, in 10^9 instructions."""
    from tests.support.sockets import exchange, request, response, tcp_pair
    from tests.support.watching import Watch

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tcp_pair() as (client, server):
        watching = Watch("--pid", os.getpid(), "--count", "1")
        exchange(client, server, request("/first"), response())
        watching.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return watching.summary["rung"], round(ran, 2)


def inside(cache: str, rungs: list[str]) -> None:
    """Measure each rung and tell."""
    os.environ["TEST_PATIENCE"] = "100"
    take_cache(cache)
    os.environ.pop("NETSCOPE_TEST_RUNG", None)
    subprocess.run(["sysctl", "-qw", "kernel.bpf_stats_enabled=1"], check=True)
    _start()  # what is read from disk is in memory now
    rung, instructions = _start()
    tell("start", rung=rung, giga_instructions=instructions)
    for rung in rungs:
        tell("cost", rung=rung, programs=_measure(rung))


def ask(name: str) -> list[dict[str, Any]]:
    """Boot a kernel; return what was told. Raises CannotHave, AssertionError."""
    kernel = BY_NAME[name]
    cache = STORE / "share" / f"cache-{kernel.name}-{kernel.flavour}"
    with alone():
        held = unpacked(kernel)
        warm(btf_section(prepare(kernel, held) / "vmlinux"), held.release, cache)
        command = [str(ROOT / ".venv/bin/python"), "-m", "tests.vm.cost", "--inside", str(cache), *MUST_FIRE[name]]
        done = run(kernel, command, settings=Settings(seconds=1800, counted=True), share=STORE / "share")
    told = [json.loads(line) for line in done.output.splitlines() if line.startswith('{"told"')]
    if done.status:
        raise AssertionError(done.output[-3000:])
    return told


def keep(name: str, told: list[dict[str, Any]]) -> None:
    """Put the figures into docs/reference/kernels.json."""
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    for one in told:
        if one["told"] == "cost":
            results[name]["rungs"][one["rung"]]["instructions_per_call"] = sum(one["programs"].values())
        else:
            results[name]["start_giga_instructions"] = one["giga_instructions"]
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("kernels", nargs="*", metavar="KERNEL", help=f"of {', '.join(BY_NAME)}; none: all")
    words.add_argument("--inside", metavar="CACHE", help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.inside:
        inside(asked.inside, asked.kernels)
        return 0
    for name in asked.kernels or [kernel.name for kernel in KERNELS]:
        try:
            told = ask(name)
        except CannotHave as reason:
            print(f"kernel {name}: cannot be had: {reason}", file=sys.stderr)
            return 2
        for one in told:
            if one["told"] == "start":
                print(
                    f"kernel {name}, start to first event on {one['rung']}: {one['giga_instructions']} giga-instructions"
                )
            else:
                print(f"kernel {name}, rung {one['rung']}: {sum(one['programs'].values())} instructions a call"
                      f" {one['programs']}", flush=True)  # fmt: skip
        keep(name, told)
    from tests.vm import report

    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
