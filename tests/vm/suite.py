"""`python -m tests.vm.suite [KERNEL [RUNG...]]`: the kernel tests on a kernel, forced onto each of its rungs in turn.

One boot for each rung. The outcome goes to docs/reference/kernels.json: what passed, what failed, what was skipped and
why. Exit 0: nothing failed.
"""

import argparse
import datetime as dt
import json
import shlex
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from tests.vm.kernels import BY_NAME, KERNELS, ROOT, STORE, CannotHave, Kernel, unpacked
from tests.vm.machine import Settings, prepare, run
from tests.vm.prove import MUST_FIRE, RESULTS, alone
from tests.vm.warm import btf_section, warm

_SHARE = STORE / "share"
_WARM = "/var/cache/netscope"
_AGAIN = tuple(  # the same once more with another seed
    f"tests/kernel/test_lifecycle.py::{name}[{n}]"
    for name in ("test_killed_at_any_moment_leaves_nothing_attached", "test_numbers_agree_when_started_and_ended_under_traffic")
    for n in range(2, 6)
)  # fmt: skip
_NOT_BY_RUNG = ("test_abi", "test_ladder", "test_rung_exit")  # they choose rungs themselves: once for each kernel


def play(kernel: Kernel, rung: str, tests: list[str], *, first: bool) -> dict[str, Any]:
    """Boot, test, and return what came out. Raises CannotHave."""
    report = _SHARE / f"suite-{kernel.name}-{rung}.xml"
    report.unlink(missing_ok=True)
    cache = _SHARE / f"cache-{kernel.name}-{kernel.flavour}"
    words = [str(ROOT / ".venv/bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=900",
             f"--junitxml={report}", "--durations=10", *tests]  # fmt: skip
    if not first:
        words += [f"--ignore=tests/kernel/{name}.py" for name in _NOT_BY_RUNG]
    words += [f"--deselect={name}" for name in _AGAIN]
    script = (
        f"mkdir -m700 -p {_WARM} && cp {shlex.quote(str(cache))}/programs-* {_WARM} && chown -R 0:0 {_WARM} &&"
        f" exec {shlex.join(words)}"
    )
    environment = {
        "NETSCOPE_TEST_RUNG": rung, "TEST_PATIENCE": "10", "TEST_PRELOADED": "yes", "TEST_CACHE": _WARM,
    }  # fmt: skip
    with alone():
        held = unpacked(kernel)
        warm(btf_section(prepare(kernel, held) / "vmlinux"), held.release, cache)
        started = time.monotonic()
        settings = Settings(seconds=3600, environment=environment)
        done = run(kernel, ["sh", "-c", script], settings=settings, share=_SHARE, sink=sys.stdout.buffer)
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "boot_to_verdict_s": round(time.monotonic() - started),
        "status": done.status,
        **(_counted(report) if report.exists() else {"passed": 0, "failed": ["everything"], "skipped": {}}),
    }


def _counted(report: Path) -> dict[str, Any]:
    passed, failed, skipped = 0, list[str](), dict[str, str]()
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{str(case.get('classname')).rpartition('.')[2]}::{case.get('name')}"
        reason = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif reason is not None:
            skipped[name] = str(reason.get("message")).removeprefix("cannot be done on this kernel: ")
        else:
            passed += 1
    return {"passed": passed, "failed": failed, "skipped": skipped}


def keep(kernel: Kernel, rung: str, result: dict[str, Any]) -> None:
    """Put the outcome into docs/reference/kernels.json, beside what the recorded traffic gave."""
    results = json.loads(RESULTS.read_text())
    results[kernel.name]["rungs"][rung]["suite"] = {k: v for k, v in result.items() if k != "status"}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("kernel", nargs="?", help=f"of {', '.join(BY_NAME)}; none: all")
    words.add_argument("rungs", nargs="*", metavar="RUNG", help="none: all that the kernel must have")
    words.add_argument("--tests", nargs="+", default=["tests/kernel"], help="others than all; then nothing is recorded")
    asked = words.parse_args()
    status = 0
    for name in [asked.kernel] if asked.kernel else [kernel.name for kernel in KERNELS]:
        kernel = BY_NAME[name]
        for number, rung in enumerate(asked.rungs or sorted(MUST_FIRE[name], key=_order)):
            try:
                result = play(kernel, rung, asked.tests, first=number == 0)
            except CannotHave as reason:
                print(f"kernel {name}: cannot be had: {reason}", file=sys.stderr)
                return 2
            print(f"kernel {name}, rung {rung}: {result['passed']} passed, {len(result['failed'])} failed,"
                  f" {len(result['skipped'])} skipped in {result['boot_to_verdict_s']} s", flush=True)  # fmt: skip
            status |= bool(result["failed"] or result["status"])
            if asked.tests == ["tests/kernel"]:
                keep(kernel, rung, result)
    from tests.vm import report

    report.write()
    return status


def _order(rung: str) -> int:
    from collector.kernel.rungs import LADDER

    return [one.name for one in LADDER].index(rung)


if __name__ == "__main__":
    sys.exit(main())
