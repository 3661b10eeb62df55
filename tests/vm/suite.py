"""`python -m tests.vm.suite [KERNEL [RUNG...]]`: the kernel tests on a kernel, forced onto each of its rungs in turn.

The tests of a rung are shared by machines that run beside each other, one for each processor. A test that fails while the
kernel itself says that it kept calls from us (docs/decisions/0505) is repeated once, and named. The outcome goes to
docs/reference/kernels.json: what passed, what failed, what was repeated, what was skipped and why. Exit 0: nothing failed.
"""

import argparse
import datetime as dt
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.support.watching import KEPT
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
_LEFT_OUT = (
    "-p",
    "no:hypothesispytest",
    "-p",
    "no:schemathesis",
    "-p",
    "no:anyio",
)  # of pytest's plugins: not needed, and slow to import
_OF_THE_KERNEL = (
    "test_abi",
    "test_copies",
    "test_ladder",
    "test_rung_exit",
)  # they choose rungs themselves: each runs once on a kernel, and its rungs share them


def play(kernel: Kernel, rung: str, names: list[str], *, machines: int) -> dict[str, Any]:
    """Boot, test, and return what came out; so many machines share the tests. Raises CannotHave."""
    cache = _SHARE / f"cache-{kernel.name}-{kernel.flavour}"
    names = longest_first(names, _seconds(kernel))
    with alone():
        held = unpacked(kernel)
        warm(btf_section(prepare(kernel, held) / "vmlinux"), held.release, cache)
        started = time.monotonic()
        played = _played(kernel, rung, cache, names, [str(number) for number in range(machines)])
        repeated = [name for one in played for name in one["kept"]]
        if repeated:
            played += _played(kernel, rung, cache, repeated, ["again"])
            played[-1]["failed"] += played[-1]["kept"]
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "boot_to_verdict_s": round(time.monotonic() - started),
        "passed": sum(len(one["passed"]) for one in played),
        "failed": [short(name) for one in played for name in one["failed"]],
        "repeated": [short(name) for name in repeated],
        "skipped": {short(name): reason for one in played for name, reason in one["skipped"].items()},
    }


def _names(rung: str, paths: list[str]) -> list[str]:
    """Return the tests as pytest names them, in its order."""
    apart = [f"--deselect={name}" for name in _AGAIN]
    asked = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts=", *apart, *paths]
    environment = os.environ | {"NETSCOPE_TEST_RUNG": rung, "PYTHONDONTWRITEBYTECODE": ""}  # written for the machines
    done = subprocess.run(asked, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    names = [line for line in done.stdout.splitlines() if "::" in line]
    if done.returncode or not names:
        raise SystemExit(f"no tests: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return names


def share(names: list[str], rung: str, rungs: list[str]) -> list[str]:
    """Return the tests that run on this rung: of those that choose rungs themselves a part, so that each rung has its own."""
    of_kernel = [name for name in names if Path(name.partition("::")[0]).stem in _OF_THE_KERNEL]
    others = {name for number, name in enumerate(of_kernel) if rungs[number % len(rungs)] != rung}
    return [name for name in names if name not in others]


def longest_first(names: list[str], seconds: dict[str, float]) -> list[str]:
    """Return the tests with those first that take long, as far as is known, by steps of 5 s; else in pytest's order."""
    return sorted(names, key=lambda name: -(seconds.get(name, 0.0) // 5))


def _seconds(kernel: Kernel) -> dict[str, float]:
    """Return how long the tests took on that kernel the last time, on whichever rung."""
    found: dict[str, float] = {}
    for report in sorted(_SHARE.glob(f"suite-{kernel.name}-*.xml"), key=lambda one: one.stat().st_mtime):
        for case in ET.parse(report).getroot().iter("testcase"):
            found[_node(case)] = float(case.get("time", "0"))
    return found


def _node(case: ET.Element) -> str:
    return f"{str(case.get('classname')).replace('.', '/')}.py::{case.get('name')}"


def _played(kernel: Kernel, rung: str, cache: Path, names: list[str], machines: list[str]) -> list[dict[str, Any]]:
    """Let the machines share the tests; a test that none of them told of has failed."""
    taken = _SHARE / f"suite-{kernel.name}-{rung}.taken"
    shutil.rmtree(taken, ignore_errors=True)
    taken.mkdir(parents=True)
    titles = [f"suite-{kernel.name}-{rung}-{machine}" for machine in machines]
    with ThreadPoolExecutor(len(machines)) as pool:
        played = list(pool.map(lambda title: _play_one(kernel, rung, cache, names, taken, title), titles))
    told = {name for one in played for kind in ("passed", "failed", "kept", "skipped") for name in one[kind]}
    played[0]["failed"] += [f"{name}: not told of" for name in names if name not in told]
    return played


def _play_one(kernel: Kernel, rung: str, cache: Path, names: list[str], taken: Path, title: str) -> dict[str, Any]:  # noqa: PLR0917
    report, listed, said = (_SHARE / f"{title}.{end}" for end in ("xml", "names", "said"))
    report.unlink(missing_ok=True)
    listed.write_text("\n".join(names) + "\n")
    words = [str(ROOT / ".venv/bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.vm.taking", *_LEFT_OUT, "--timeout=900",
             "-o", "junit_logging=system-err", "-o", "junit_log_passing_tests=false", f"--junitxml={report}", "--durations=10", f"@{listed}"]  # fmt: skip
    script = (
        f"mkdir -m700 -p {_WARM} && cp {shlex.quote(str(cache))}/programs-* {_WARM} && chown -R 0:0 {_WARM} &&"
        f" exec {shlex.join(words)}"
    )
    environment = {
        "NETSCOPE_TEST_RUNG": rung, "TEST_PATIENCE": "10", "TEST_PRELOADED": "yes", "TEST_CACHE": _WARM,
        "TEST_TAKEN": str(taken),
    }  # fmt: skip
    settings = Settings(seconds=3600, environment=environment)
    with said.open("wb") as sink:
        done = run(kernel, ["sh", "-c", script], settings=settings, share=_SHARE, sink=sink)
    sys.stdout.write(done.output)
    result = counted(report) if report.exists() else {"passed": [], "failed": [], "kept": [], "skipped": {}}
    if bool(done.status) != bool(result["failed"] or result["kept"]):
        result["failed"].append(f"{title}: status {done.status}")
    return result


def counted(report: Path) -> dict[str, Any]:
    """Return what a JUnit report tells: which tests passed, which failed (kept: for a reason the kernel owns up to), which were skipped and why."""
    passed, failed, kept, skipped = list[str](), list[str](), list[str](), dict[str, str]()
    for case in ET.parse(report).getroot().iter("testcase"):
        name = _node(case)
        reason = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            (kept if KEPT.decode() in case.findtext("system-err", "") else failed).append(name)
        elif reason is not None:
            skipped[name] = str(reason.get("message")).removeprefix("cannot be done on this kernel: ")
        else:
            passed.append(name)
    return {"passed": passed, "failed": failed, "kept": kept, "skipped": skipped}


def short(name: str) -> str:
    """Return a test's name as the page has it."""
    return name.rpartition("/")[2].replace(".py::", "::")


def keep(kernel: Kernel, rung: str, result: dict[str, Any]) -> None:
    """Put the outcome into docs/reference/kernels.json, beside what the recorded traffic gave."""
    results = json.loads(RESULTS.read_text())
    results[kernel.name]["rungs"][rung]["suite"] = result
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("kernel", nargs="?", help=f"of {', '.join(BY_NAME)}; none: all")
    words.add_argument("rungs", nargs="*", metavar="RUNG", help="none: all that the kernel must have")
    words.add_argument("--tests", nargs="+", default=["tests/kernel"], help="others than all; then nothing is recorded")
    words.add_argument(
        "--machines", type=int, default=max(1, min(2, os.cpu_count() or 1)), help="at once; default: %(default)s"
    )
    asked = words.parse_args()
    status, whole = 0, asked.tests == ["tests/kernel"]
    for name in [asked.kernel] if asked.kernel else [kernel.name for kernel in KERNELS]:
        kernel = BY_NAME[name]
        of_kernel = sorted(MUST_FIRE[name], key=_order)
        for rung in asked.rungs or of_kernel:
            try:
                names = _names(rung, asked.tests)
                result = play(kernel, rung, share(names, rung, of_kernel) if whole else names, machines=asked.machines)
            except CannotHave as reason:
                print(f"kernel {name}: cannot be had: {reason}", file=sys.stderr)
                return 2
            print(f"kernel {name}, rung {rung}: {result['passed']} passed, {len(result['failed'])} failed,"
                  f" {len(result['skipped'])} skipped in {result['boot_to_verdict_s']} s", flush=True)  # fmt: skip
            status |= bool(result["failed"])
            if whole:
                keep(kernel, rung, result)
    from tests.vm import report

    report.write()
    return status


def _order(rung: str) -> int:
    from collector.kernel.rungs import LADDER

    return [one.name for one in LADDER].index(rung)


if __name__ == "__main__":
    sys.exit(main())
