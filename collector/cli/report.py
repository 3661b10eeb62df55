"""doctor's findings, for people and for programs."""

import os
import sys
from typing import Final

import msgspec

from collector.kernel.doctor import Diagnosis

_MARKS: Final = {"ok": "ok  ", "warning": "warn", "failed": "FAIL"}
_COLOURS: Final = {"ok": "\x1b[32m", "warning": "\x1b[33m", "failed": "\x1b[31m"}
_PLAIN: Final = "\x1b[0m"


def show(diagnosis: Diagnosis, *, as_json: bool, strict: bool) -> int:
    """Print the findings; return the exit code: 0, 3 cannot observe, 4 degraded under --strict."""
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(diagnosis), indent=2) + b"\n")
        sys.stdout.buffer.flush()
    else:
        sys.stdout.write(_text(diagnosis, colour=os.isatty(1)))
    if not diagnosis.can_observe:
        return 3
    others = [check for check in diagnosis.checks if check.group != "ladder"]
    return 4 if strict and any(check.status != "ok" for check in others) else 0


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
        lines.append(f"  {mark}  {check.name:<14} {check.detail}")
        if check.fix and check.status != "ok":
            lines.append(f"        {'':<14} fix: {check.fix}")
    if diagnosis.rung:
        lines.append(f"rung in use: {diagnosis.rung}")
        lines += [f"  cannot see: {what}" for what in diagnosis.cannot_see]
    return "\n".join(lines) + "\n"
