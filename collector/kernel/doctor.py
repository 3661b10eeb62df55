"""From facts to findings: each with what it means and how to fix it. Pure; tests give it broken hosts.

What was seen to work is not called broken: where a rung loads and fires, nothing else can be more than a warning.
"""

import msgspec

from collector.kernel.doctor_checks import NOT_PROVEN, Check, host_checks
from collector.kernel.host_facts import HostFacts
from collector.kernel.request import RungResult
from collector.kernel.rungs import BY_NAME


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All findings, and the rung that a watch would use."""

    can_observe: bool
    rung: str | None
    cannot_see: tuple[str, ...]
    checks: tuple[Check, ...]


def diagnose(facts: HostFacts) -> Diagnosis:
    """Judge the facts."""
    best = next((rung for rung in facts.rungs if rung.fired), None)
    checks = (*host_checks(facts), *_ladder(facts, best))
    if best:
        checks = tuple(check if check.name in NOT_PROVEN else _no_worse_than_warning(check) for check in checks)
    return Diagnosis(
        can_observe=all(check.status != "failed" for check in checks),
        rung=best.name if best else None,
        cannot_see=best.blind_to
        if best
        else ("anything" if facts.root else "anything without root: no rung was tried",),
        checks=checks,
    )


def _no_worse_than_warning(check: Check) -> Check:
    return msgspec.structs.replace(check, status="warning") if check.status == "failed" else check


def _ladder(facts: HostFacts, best: RungResult | None) -> tuple[Check, ...]:
    """Judge the rungs: a better one that is missing is a warning, a worse one is only noted."""
    if not facts.root:
        return ()
    checks = []
    reached = False
    for rung in facts.rungs:
        reached = reached or rung is best
        checks.append(_rung(rung, better=not reached))
    if best is None:
        checks.append(
            Check(
                group="ladder",
                name="any rung",
                status="failed",
                detail=facts.problem or "no rung of the ladder loads and fires on this kernel",
                fix="one of the above must work; what else is wrong stands further up",
            )
        )
    return tuple(checks)


def _rung(rung: RungResult, *, better: bool) -> Check:
    if rung.fired:
        cost = ""
        if rung.cost_ns is not None:
            noise = "a cost lost in the noise of a busy machine"
            cost = f", {f'{rung.cost_ns:.0f} ns per send and receive' if rung.cost_ns > 0 else noise}"
        return Check(group="ladder", name=rung.name, status="ok", detail=f"loads and fires{cost}")
    if better:
        return Check(group="ladder", name=rung.name, status="warning", detail=rung.reason, fix=BY_NAME[rung.name].needs)
    return Check(group="ladder", name=rung.name, status="note", detail=f"{rung.reason} (not needed)")
