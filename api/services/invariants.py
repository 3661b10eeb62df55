"""The five invariants, judged by what passes by. What cannot be judged from here is said, with the reason."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from api.dto.losses import Invariant
from collector.domain.events import Connection, Exchange
from collector.domain.metrics import ResilienceSnapshot
from collector.domain.status import ObserverStatus

_UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_EVIDENCE: Final = 10


class Tally:
    """How many were judged, how many broke the rule, and the newest of those."""

    __slots__ = ("broken", "checked", "evidence")

    def __init__(self) -> None:
        self.checked = 0
        self.broken = 0
        self.evidence: deque[str] = deque(maxlen=_EVIDENCE)

    def judge(self, event_id: str, *, holds: bool) -> None:
        """Count one."""
        self.checked += 1
        if not holds:
            self.broken += 1
            self.evidence.append(event_id)


class InvariantLedger:
    """Takes every exchange once; answers as of now."""

    def __init__(self) -> None:
        self._keys = Tally()
        self._retries = Tally()
        self._traces = Tally()
        self._ended = Tally()
        self._taken = 0  # exchanges, of both ends
        self._answered = 0  # exchanges whose final response was seen, of both ends
        self._unasked = 0  # connections with an answer to no request that was seen: a 408 on an idle one, as a rule

    def add(self, events: Iterable[Exchange]) -> None:
        """Judge new exchanges; only the asking end's are attempts."""
        for event in events:
            self._taken += 1
            self._answered += event.status_code is not None
            if event.role != "client":
                continue
            if event.method in _UNSAFE:
                self._keys.judge(event.id, holds=event.idempotency_key is not None)
                if event.attempt > 1:
                    self._retries.judge(event.id, holds=event.idempotency_key is not None)
            self._traces.judge(event.id, holds=event.trace_id is not None)
            self._ended.judge(event.id, holds=event.outcome is not None)

    def add_connections(self, events: Iterable[Connection]) -> None:
        """Compare connections that ended with the kernel's count; one answer to nothing each is the server's word."""
        self._unasked += sum(event.kernel_exchanges > event.exchanges for event in events)

    def judge(
        self, status: ObserverStatus, resilience: ResilienceSnapshot | None, *, archived: bool
    ) -> list[Invariant]:
        """Return the verdicts."""
        return [
            self._idempotence(),
            self._timeouts(resilience),
            _coherence(status, self._taken, self._answered, self._unasked),
            self._traceability(_unarchived(status), archived=archived),
            _isolation(),
        ]

    def _idempotence(self) -> Invariant:
        keys, retries = self._keys, self._retries
        return _verdict(
            "I1", "idempotence", keys.checked, keys.broken, keys.evidence,
            detail=f"{keys.broken} of {keys.checked} unsafe requests without an idempotency key; "
            f"{retries.broken} of {retries.checked} retries without one",
            not_measured=[
                "same key, different body: bodies are not captured",
                "effects at the API: only its own ledger knows them",
            ],
        )  # fmt: skip

    def _timeouts(self, resilience: ResilienceSnapshot | None) -> Invariant:
        known = [one for one in resilience.destinations if one.timeout] if resilience else []
        ended = self._ended
        return _verdict(
            "I2", "timeouts", ended.checked, ended.broken, ended.evidence,
            detail=f"{ended.checked - ended.broken} of {ended.checked} attempts ended; timeouts revealed by the wire: "
            + (", ".join(f"{one.destination} {one.timeout.timeout_ms:g} ms" for one in known if one.timeout) or "none"),
            not_measured=["within the deadline + 100 ms: the configured deadline is not on the wire"],
        )  # fmt: skip

    def _traceability(self, lost: int, *, archived: bool) -> Invariant:
        traces = self._traces
        return _verdict(
            "I4", "traceability", traces.checked, traces.broken + lost, traces.evidence,
            detail=f"{traces.broken} of {traces.checked} attempts without a trace ID, {lost} events lost",
            not_measured=[] if archived else ["in the archive or the spool: no archive configured"],
        )  # fmt: skip


def _coherence(status: ObserverStatus, taken: int, answered: int, unasked: int) -> Invariant:
    """Response turns counted in the kernel = exchanges told with a status; what is missing must have its reason."""
    under_way = status.waiting + max(0, sum(status.exchanges.values()) - taken)
    counted = status.kernel.get("exchanges", 0) - status.canary_exchanges
    lost = status.records.get("lost", 0) + sum(sum(reasons.values()) for reasons in status.lost.values())
    missing = max(0, counted - answered)
    explained = missing <= status.open_connections + lost + unasked + under_way
    return _verdict(
        "I3", "metric coherence", counted, 0 if explained else missing, (),
        detail=f"the kernel counted {counted} response turns, {answered} answered exchanges were told, {lost} records "
        f"were lost, {under_way} are under way, {status.open_connections} connections are open, {unasked} had an "
        "answer to nothing asked",
        not_measured=["what the API under test saw: only its own ledger knows it"],
    )  # fmt: skip


def _unarchived(status: ObserverStatus) -> int:
    """Return the events that count and that the archive had no room for; connection events without fault do not."""
    return sum(count for reason, count in status.lost.get("archive", {}).items() if not reason.endswith("_ordinary"))


def _isolation() -> Invariant:
    return Invariant(
        id="I5",
        name="isolation",
        status="not_measured",
        checked=0,
        violations=0,
        detail="",
        not_measured=["what is visible outside the NAT: only an observer there sees it"],
        evidence=[],
    )


def _verdict(  # noqa: PLR0913  # the fields of the verdict
    id_: str, name: str, checked: int, violations: int, evidence: Iterable[str], *, detail: str, not_measured: list[str]
) -> Invariant:
    status = "not_measured" if not checked else "violated" if violations else "holds"
    reasons = not_measured if checked else ["nothing to judge yet", *not_measured]
    return Invariant(
        id=id_,  # type: ignore[arg-type]  # one of five, above
        name=name,
        status=status,  # type: ignore[arg-type]
        checked=checked,
        violations=violations,
        detail=detail,
        not_measured=reasons,
        evidence=list(evidence),
    )
