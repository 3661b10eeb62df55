"""Whether the collector lives, and whether it is ready: reasons from its own snapshot."""

from datetime import UTC, datetime
from typing import Final

from api.dto.health import Check, Health, Status
from collector.domain.status import ObserverStatus

VERSION: Final = "1"
_STALL_NS: Final = 3_000_000_000
_FULL_RING: Final = 0.9


def live(*, release: str, epoch: str, now_ns: int, wall_ns: int, started_ns: int) -> Health:
    """Return that the process answers; nothing else is asked of it."""
    check = Check(
        component_type="system",
        status="pass",
        time=_time(wall_ns),
        observed_value=round((now_ns - started_ns) / 1e9, 3),
        observed_unit="s",
    )
    return _health("pass", "the process answers", release, epoch, {"uptime": [check]})


def ready(status: ObserverStatus, *, release: str, epoch: str, now_ns: int, wall_ns: int) -> Health:
    """Return whether what is observed can be relied on now, with a reason for each check that fails."""
    time = _time(wall_ns)
    checks = {
        "canary:passed": [_check(time, _canary(status), status.canary)],
        "drain:age": [_check(time, _drain(status, now_ns), round((now_ns - status.at_ns) / 1e6, 1), "ms")],
        "ring:fill": [_check(time, _ring(status), round(status.ring_fill_ratio, 3), "ratio", bad="warn")],
        "shutdown:requested": [
            _check(time, "the collector is ending" if status.stopping else "", int(status.stopping))
        ],
    }
    found = {check.status for (check,) in checks.values()}
    overall: Status = "fail" if "fail" in found else "warn" if "warn" in found else "pass"
    return _health(overall, f"observes by rung {status.rung}", release, epoch, checks)


def _canary(status: ObserverStatus) -> str:
    match status.canary:
        case "passed":
            return ""
        case "filtered":
            return ""  # the loader's own canary proved the programs; ours is hidden by the user's filter
        case "pending":
            return "the canary, a known exchange, has not come through yet"
        case _:
            return "the canary, a known exchange, did not come through: see the collector's log"


def _drain(status: ObserverStatus, now_ns: int) -> str:
    stalled = now_ns - status.at_ns
    return f"the ring was not drained for {stalled / 1e9:.1f} s" if stalled > _STALL_NS else ""


def _ring(status: ObserverStatus) -> str:
    return "the ring is nearly full: records will be lost" if status.ring_fill_ratio > _FULL_RING else ""


def _check(time: str, reason: str, value: float | str, unit: str | None = None, bad: Status = "fail") -> Check:
    return Check(
        component_type="component",
        status=bad if reason else "pass",
        time=time,
        observed_value=value,
        observed_unit=unit,
        output=reason or None,
    )


def _health(status: Status, description: str, release: str, epoch: str, checks: dict[str, list[Check]]) -> Health:
    reasons = [check.output for found in checks.values() for check in found if check.output]
    return Health(
        status=status,
        version=VERSION,
        release_id=release,
        service_id=epoch,
        description=description,
        output="; ".join(reasons) or None,
        checks=checks,
    )


def _time(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
