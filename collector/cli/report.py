"""doctor's findings, for people and for programs."""

import sys
from typing import Final

import msgspec

from collector.kernel.doctor import Diagnosis
from collector.kernel.host_facts import HostFacts

_MARKS: Final = {"ok": "ok  ", "note": "-   ", "warning": "warn", "failed": "FAIL"}
_COLOURS: Final = {"ok": "\x1b[32m", "note": "\x1b[2m", "warning": "\x1b[33m", "failed": "\x1b[31m"}
_PLAIN: Final = "\x1b[0m"


def show(diagnosis: Diagnosis, facts: HostFacts, *, as_json: bool, colour: bool) -> None:
    """Print the findings."""
    if as_json:
        report = {**msgspec.to_builtins(diagnosis), "facts": msgspec.to_builtins(facts)}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
    else:
        sys.stdout.write(_text(diagnosis, colour=colour))
    sys.stdout.flush()


def exit_code(diagnosis: Diagnosis, *, strict: bool) -> int:
    """Return 0, 3 where nothing can be observed, 4 under --strict where something could be better."""
    if not diagnosis.can_observe:
        return 3
    return 4 if strict and any(check.status == "warning" for check in diagnosis.checks) else 0


def _text(diagnosis: Diagnosis, *, colour: bool) -> str:
    lines: list[str] = []
    group = ""
    for check in diagnosis.checks:
        if check.group != group:
            group = check.group
            lines.append(f"{group}")
        mark = _MARKS[check.status]
        if colour:
            mark = f"{_COLOURS[check.status]}{mark}{_PLAIN}"
        lines.append(f"  {mark}  {check.name:<15} {check.detail}")
        if check.fix:
            lines.append(f"        {'':<15} fix: {check.fix}")
    lines.append(f"rung in use: {diagnosis.rung or 'none'}")
    lines += [f"  cannot see: {what}" for what in diagnosis.cannot_see]
    return "\n".join(lines) + "\n"
