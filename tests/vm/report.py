"""docs/reference/kernels.md from kernels.json and debian.json there: kernel x rung x what it cannot see, with dates."""

import json
from collections.abc import Iterator
from typing import Any

from tests.vm.kernels import ROOT

_SOURCE = ROOT / "docs/reference/kernels.json"
_OTHER_DEBIANS = ROOT / "docs/reference/debian.json"
_PAGE = ROOT / "docs/reference/kernels.md"
_HEAD = """# Kernels

Written by `make test-kernels` from [kernels.json](kernels.json); do not edit. Each kernel is Debian's own, booted under emulation. On every rung
that loads there one recorded traffic script (`tests/vm/traffic.py`: {steps} steps, {exchanges} exchanges, {connections} connections) has to give
the same events: IDs, bytes, outcomes, attempts, quality.

`exact`: the same events as recorded. `-`: the kernel does not have what the rung needs.

"""
_SUITE = """
## The kernel tests on other kernels

`python -m tests.vm.suite KERNEL [RUNG]`: every test of `tests/kernel` (the calls and endings that are hard to get right, giving up root, kill -9, restart
under load), on that rung; those that choose their rungs themselves once on each kernel, dealt out to its rungs. Passed, the time from boot to verdict under emulation (one
boot for each of two processors), and failed where something did. Repeated once: what failed while the kernel itself said that it had kept calls from us,
as a program was under way twice on a CPU where it can be preempted (7.2; [decision 0505](../decisions/0505-two-copies-where-programs-are-preempted.md)).

"""
_SKIPPED = """
What was skipped, or is null by the nature of the kernel: before 6.3 no tracepoint tells when data became readable, so `wait_ms` and `read_delay_ms` are null
there on every rung.

"""
_COST = """
## What a call costs

`python -m tests.vm.cost KERNEL`: instructions that the programs execute for one send or receive of a watched process, counted by the emulator; in brackets
relative to the first rung of that kernel. Start: what `watch` executes from its start to its first event, in 10^9 instructions, programs in
the cache. A kprobe's trap and a trampoline's frame come on top. Nanoseconds on a real machine:
[the benchmarks](bench/README.md).

"""
_HOSTS = """
## Hosts that lack something

`python -m tests.vm.hosts KERNEL`: each made for real in a machine; doctor's line, and where its fix is a command, the line after that command.
A watch does what doctor says: it starts, or ends with status 3.

| kernel | host | doctor says | the fix it gives | as it must be |
|---|---|---|---|---|
"""
_OTHERS = """
## Other Pythons, other bcc

`python -m tests.vm.debian SUITE`: setup as the README has it, and the kernel tests, in another Debian on one kernel.

| Debian | Python | bcc | kernel tests |
|---|---|---|---|
"""
Results = dict[str, dict[str, Any]]


def text(results: Results, recorded: dict[str, list[object]], others: Results) -> str:
    names = list(next(iter(results.values()))["rungs"])
    page = _HEAD.format(**{name: len(recorded[name]) for name in ("steps", "exchanges", "connections")})
    page += _table(
        "| kernel | release | proven |", names, results, _exact, lambda one: f"{one['release']} | {one['date']}"
    )
    if _any(results, "suite"):
        page += _SUITE + _table("| kernel | release |", names, results, _suite, lambda one: one["release"])
        skipped = sorted(
            {
                f"- `{test}`: {why}\n"
                for rung in _rungs(results)
                for test, why in rung.get("suite", {}).get("skipped", {}).items()
            }
        )
        page += _SKIPPED + "".join(skipped)
    if _any(results, "instructions_per_call"):
        page += _COST + _table(
            "| kernel | release | start |", names, results, _cost,
            lambda one: f"{one['release']} | {one.get('start_giga_instructions', '-')}",
        )  # fmt: skip
    if any("hosts" in one for one in results.values()):
        page += _HOSTS + "".join(_hosts(results))
    if others:
        page += _OTHERS + "".join(
            f"| {suite} | {one['python']} | {one['bcc']} | {_suite({'suite': one}, None)} |\n"
            for suite, one in others.items()
        )
    page += "\n## What each cannot see\n\n"
    for kernel, one in results.items():
        page += f"### Linux {kernel}\n\n"
        for name, rung in one["rungs"].items():
            what = "; ".join(rung["cannot_see"]) if rung["fired"] else f"not here: {rung['reason']}"
            page += f"- **{name}**: {what}\n"
        page += "\n"
    return page.rstrip() + "\n"


def _table(head: str, names: list[str], results: Results, cell: Any, facts: Any) -> str:
    page = f"{head} {' | '.join(names)} |\n|{'---|' * (head.count('|') - 1 + len(names))}\n"
    for kernel, one in results.items():
        cells = [cell(rung, one["rungs"]) for rung in one["rungs"].values()]
        page += f"| {kernel} | {facts(one)} | {' | '.join(cells)} |\n"
    return page


def _exact(rung: dict[str, Any], _: object) -> str:
    return "exact" if rung["exact"] else "differs" if rung["fired"] else "-"


def _suite(rung: dict[str, Any], _: object) -> str:
    if not (suite := rung.get("suite")):
        return "not run" if rung["fired"] else "-"
    failed = f", failed {', '.join(suite['failed'])}" if suite["failed"] else ""
    repeated = f" ({len(suite['repeated'])} of them repeated)" if suite.get("repeated") else ""
    took = f" in {suite['boot_to_verdict_s']} s" if "boot_to_verdict_s" in suite else ""
    return f"{suite['passed']}{repeated}{took}{failed} ({suite['date']})"


def _cost(rung: dict[str, Any], rungs: dict[str, dict[str, Any]]) -> str:
    if "instructions_per_call" not in rung:
        return "-"
    first = next(one["instructions_per_call"] for one in rungs.values() if "instructions_per_call" in one)
    return f"{rung['instructions_per_call']} ({rung['instructions_per_call'] / first:.2f})"


def _hosts(results: Results) -> Iterator[str]:
    for kernel, one in results.items():
        for name, host in one.get("hosts", {}).items():
            line = {field: str(value).replace("|", "\\|") for field, value in host["line"].items()}
            yield f"| {kernel} | {name} | {line.get('status', '?')}: {line.get('detail', '?')} | {line.get('fix', '')} | {'yes' if host['as_it_must_be'] else 'no'} |\n"


def _rungs(results: Results) -> Iterator[dict[str, Any]]:
    return (rung for one in results.values() for rung in one["rungs"].values())


def _any(results: Results, field: str) -> bool:
    return any(field in rung for rung in _rungs(results))


def write() -> None:
    if _SOURCE.exists():
        recorded = json.loads((ROOT / "tests/vm/traffic.json").read_text())
        others = json.loads(_OTHER_DEBIANS.read_text()) if _OTHER_DEBIANS.exists() else {}
        _PAGE.write_text(text(json.loads(_SOURCE.read_text()), recorded, others))


if __name__ == "__main__":
    write()
