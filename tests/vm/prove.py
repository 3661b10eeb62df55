"""`python -m tests.vm.prove [KERNEL...]`: each kernel booted, doctor asked, the recorded traffic played on every rung.

The outcome goes to docs/reference/kernels.json and, from there, to docs/reference/kernels.md. Exit 0: every rung that
must work told exactly what is recorded in traffic.json.
"""

import argparse
import contextlib
import datetime as dt
import fcntl
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.vm.kernels import ARM, BY_NAME, KERNELS, ROOT, STORE, CannotHave, Kernel, unpacked
from tests.vm.machine import Settings, prepare, run
from tests.vm.warm import VARIANTS, btf_section, warm

RECORDED = Path(__file__).with_name("traffic.json")
RESULTS = ROOT / "docs/reference/kernels.json"
MUST_FIRE = {  # the rungs that each kernel has to have
    "5.10": {"fexit", "kprobe", "exit", "enter"},
    "6.1": {"fexit", "kprobe", "exit", "enter"},
    "6.12": {"length", "fexit", "kprobe", "exit", "enter"},
    "6.18": {"length", "fexit", "kprobe", "exit", "enter"},
    "7.2": {"length", "fexit", "kprobe", "exit", "enter"},
}
COMPARED = ("steps", "exchanges", "connections", "lost", "balanced")


def prove(kernel: Kernel, rungs: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what this kernel showed. Raises CannotHave."""
    with alone():
        return _prove(kernel, rungs)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One machine at a time on this host: emulation takes a whole CPU, and the store is shared."""
    STORE.mkdir(exist_ok=True)
    with (STORE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prove(kernel: Kernel, rungs: tuple[str, ...]) -> dict[str, Any]:
    held = unpacked(kernel)
    cache = STORE / "share" / f"cache-{kernel.name}-{kernel.flavour}"
    variants = VARIANTS[1:2] if rungs else VARIANTS  # without the doctor: what the traffic asks for
    warm(btf_section(prepare(kernel, held) / "vmlinux"), held.release, cache, rungs=rungs, variants=variants)
    started = time.monotonic()
    command = [str(ROOT / ".venv/bin/python"), "-m", "tests.vm.inside", str(cache), *rungs]
    done = run(kernel, command, settings=Settings(seconds=900), share=STORE / "share")
    told = [json.loads(line) for line in done.output.splitlines() if line.startswith('{"told"')]
    return {
        "kernel": kernel.name,
        "release": done.release,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "boot_to_verdict_s": round(time.monotonic() - started, 1),
        "status": done.status,
        "told": told,
        "output": "" if done.status == 0 else done.output[-4000:],
    }


def complaints(result: dict[str, Any], rungs: tuple[str, ...] = ()) -> list[str]:
    """Say what is not as it must be."""
    recorded = json.loads(RECORDED.read_text())
    wanted = MUST_FIRE[result["kernel"]] & (set(rungs) or MUST_FIRE[result["kernel"]])
    found = {told["rung"]: told["record"] for told in result["told"] if told["told"] == "traffic"}
    said = [f"{t['step']}: {t['why']}" for t in result["told"] if t["told"] == "failed"]
    if result["status"]:
        said.append(f"ended with status {result['status']}: {result['output']}")
    said += [f"{rung}: does not fire" for rung in sorted(wanted - set(found))]
    for rung, record in found.items():
        if record["rung"] != rung:
            said.append(f"{rung}: the watch used {record['rung']}")
        said += [f"{rung}: {name} {_difference(recorded[name], record[name])}"
                 for name in COMPARED if recorded[name] != record[name]]  # fmt: skip
    return said


def _difference(wanted: Any, got: Any) -> str:
    if not isinstance(wanted, list):
        return f"{got} instead of {wanted}"
    missing = [item for item in wanted if item not in got][:3]
    surplus = [item for item in got if item not in wanted][:3]
    return f"miss {missing}, have {surplus}"


def keep(result: dict[str, Any], said: list[str]) -> None:
    """Put the outcome into docs/reference/kernels.json."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    diagnosis = next(t["diagnosis"] for t in result["told"] if t["told"] == "doctor")
    exact = {t["rung"]: t["record"] for t in result["told"] if t["told"] == "traffic"}
    all_before = results.get(result["kernel"], {"rungs": {}})
    before = all_before["rungs"]
    results[result["kernel"]] = {
        **all_before,
        "release": result["release"],
        "date": result["date"],
        "boot_to_verdict_s": result["boot_to_verdict_s"],
        "rungs": {
            rung["name"]: {
                "fired": rung["fired"],
                "reason": rung["reason"],
                "exact": rung["name"] in exact and not any(line.startswith(rung["name"] + ":") for line in said),
                "cannot_see": rung["blind_to"],
                **{
                    name: before[rung["name"]][name]
                    for name in ("suite", "instructions_per_call")
                    if name in before.get(rung["name"], {})
                },
            }
            for rung in diagnosis["facts"]["rungs"]
        },
        "complaints": [line[:300] for line in said],
    }
    RESULTS.write_text(
        json.dumps(dict(sorted(results.items(), key=lambda i: [int(n) for n in i[0].split(".")])), indent=2) + "\n"
    )


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("kernels", nargs="*", metavar="KERNEL", help=f"of {', '.join(BY_NAME)}; none: all")
    words.add_argument("--no-record", action="store_true", help="leave docs/reference/kernels.* as they are")
    asked = words.parse_args()
    status = 0
    if not asked.kernels:
        unpacked(ARM)  # for tests/vm/test_layout.py
    for name in asked.kernels or [kernel.name for kernel in KERNELS]:
        if name not in BY_NAME:
            print(f"kernel {name}: not one of {', '.join(BY_NAME)}", file=sys.stderr)
            return 2
        try:
            result = prove(BY_NAME[name])
        except CannotHave as reason:
            print(f"kernel {name}: cannot be had: {reason}", file=sys.stderr)
            return 2
        said = complaints(result)
        fired = [t["rung"] for t in result["told"] if t["told"] == "traffic"]
        print(f"kernel {name} ({result['release']}): rungs {', '.join(fired)}; {result['boot_to_verdict_s']} s;"
              f" {'the same events on each' if not said else 'FAILED'}", flush=True)  # fmt: skip
        for line in said:
            print(f"  {line}", flush=True)
            status = 1
        if not asked.no_record and any(t["told"] == "doctor" for t in result["told"]):
            keep(result, said)
    if not asked.no_record:
        from tests.vm import report

        report.write()
    return status


if __name__ == "__main__":
    sys.exit(main())
