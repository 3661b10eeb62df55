"""docs/reference/kernels.md from docs/reference/kernels.json: kernel x rung x what it cannot see, with dates."""

import json

from tests.vm.kernels import ROOT

_SOURCE = ROOT / "docs/reference/kernels.json"
_PAGE = ROOT / "docs/reference/kernels.md"
_HEAD = """# Kernels

Written by `make test-kernels` from [kernels.json](kernels.json); do not edit. Each kernel is Debian's own, booted under emulation. On every rung
that loads there one recorded traffic script (`tests/vm/traffic.py`: {steps} steps, {exchanges} exchanges, {connections} connections) has to give
the same events: IDs, bytes, outcomes, attempts, quality.

`exact`: the same events as recorded. `-`: the kernel does not have what the rung needs.

"""


def text(results: dict[str, dict[str, object]], recorded: dict[str, list[object]]) -> str:
    names = list(next(iter(results.values()))["rungs"])
    page = _HEAD.format(**{name: len(recorded[name]) for name in ("steps", "exchanges", "connections")})
    page += f"| kernel | release | proven | {' | '.join(names)} |\n|{'---|' * (3 + len(names))}\n"
    for kernel, one in results.items():
        cells = ["exact" if rung["exact"] else "differs" if rung["fired"] else "-" for rung in one["rungs"].values()]
        page += f"| {kernel} | {one['release']} | {one['date']} | {' | '.join(cells)} |\n"
    page += "\n## What each cannot see\n\n"
    for kernel, one in results.items():
        page += f"### Linux {kernel}\n\n"
        for name, rung in one["rungs"].items():
            what = "; ".join(rung["cannot_see"]) if rung["fired"] else f"not here: {rung['reason']}"
            page += f"- **{name}**: {what}\n"
        page += "\n"
    return page.rstrip() + "\n"


def write() -> None:
    if _SOURCE.exists():
        recorded = json.loads((ROOT / "tests/vm/traffic.json").read_text())
        _PAGE.write_text(text(json.loads(_SOURCE.read_text()), recorded))


if __name__ == "__main__":
    write()
