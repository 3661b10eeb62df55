"""From what is known to the event that everyone sees: times, counts, severity. Nothing is invented here."""

import errno
from typing import TYPE_CHECKING, Final

from collector.correlate import text
from collector.correlate.pending import Endpoint, Pending
from collector.domain.events import Connection as ConnectionEvent
from collector.domain.events import Exchange, Quality
from collector.domain.observed import Changed, ChangeFlag, ChangeKind, Direction, Moved

if TYPE_CHECKING:
    from collector.correlate.connection import Connection
    from collector.correlate.correlator import Correlator

_MS: Final = 1_000_000
_EARLY_NS: Final = 1_000_000  # a first byte this much before our last one went out is an early answer, not a race
_GOOD: Final = frozenset({"ok", "http_error", "tunnel", "truncated", None})
_JOINED: Final = Quality(joined_mid=True)
_PLAIN: Final = Quality()

Parts = tuple[float | None, float | None, float | None, float | None]


def _ms(ns: int) -> float:
    return ns / _MS


def client_times(pending: Pending) -> Parts:
    """Return (send, wait, read delay, receive) as the asking end saw them, milliseconds."""
    begun, sent, ready = pending.first.at_ns, pending.sent_at, pending.response_ready
    read, last = pending.response_first_at, pending.response_last_at
    send = _ms(sent - begun) if sent else None
    receive = _ms(last - read) if read and last >= read else None
    if not read or not ready:
        return send, None, None, receive
    if not sent or ready < sent - _EARLY_NS:
        return send, None, _ms(max(read - ready, 0)), receive
    arrived = min(max(ready, sent), read)  # on loopback the answer may be there before our own call returns
    if read < sent:
        return send, None, None, receive
    return send, _ms(arrived - sent), _ms(read - arrived), receive


def server_times(pending: Pending) -> Parts:
    """Return (send, wait, read delay, receive) as the answering end saw them, milliseconds."""
    first, got = pending.first, pending.sent_at
    begun, last = pending.response_first_at, pending.response_last_at
    ready = first.ready_ns if first.offset == pending.request_start else 0
    delay = _ms(max(first.at_ns - ready, 0)) if ready else None
    receive = _ms(got - first.at_ns) if got else None
    wait = _ms(begun - got) if got and begun >= got else None
    send = _ms(last - begun) if begun and last >= begun else None
    return send, wait, delay, receive


def _quality(pending: Pending, outcome: str | None, *, joined: bool, cut: bool) -> Quality:
    truncated = pending.truncated or cut or (outcome is None and not pending.endless)
    inferred = ("outcome",) if outcome == "timeout" or pending.inferred else ()
    if not (truncated or inferred or pending.invalid or outcome == "gap"):
        return _JOINED if joined else _PLAIN
    return Quality(
        joined_mid=joined, truncated=truncated, gap=outcome == "gap", inferred=inferred, invalid=pending.invalid
    )


def _severity(outcome: str | None, status: int, *, warned: bool) -> str:
    if status >= 500 or outcome not in _GOOD:
        return "error"
    return "warning" if warned or 400 <= status < 500 else "info"


def _moved_bytes(connection: "Connection", pending: Pending) -> tuple[int, int]:
    """Return (request bytes, response bytes) so far."""
    requests = connection.requests or 0
    asking, answering = connection.sides[requests], connection.sides[1 - requests]
    asked_to = pending.request_end
    if asked_to < 0:
        asked_to = asking.expected if connection.current is pending else pending.request_start
        if pending.head.truncated or pending.endless:
            asked_to = asking.expected
    start, end = pending.response_start, pending.response_end
    if start < 0 and answering.buffer:
        start = answering.buffer_start
    if start >= 0 and end < 0:
        end = answering.expected
    return asked_to - pending.request_start, max(end - start, 0) if start >= 0 else 0


def _endpoint(correlator: "Correlator", connection: "Connection", first: Moved) -> Endpoint:
    known = connection.identified
    if known is not None and known[0] == first.pid and known[1] == first.exec_id:
        return known[2]
    name = text.comm(first.comm)
    identity = correlator.processes.lookup(first.pid, first.started_ns, first.exec_id, name, first.cgroup_id)
    end = Endpoint(name, identity.service, identity.cgroup, text.address(first.local), text.address(first.peer))
    connection.identified = (first.pid, first.exec_id, end)
    return end


def exchange(
    correlator: "Correlator", connection: "Connection", pending: Pending, outcome: str | None, at_ns: int
) -> Exchange:
    """Build the event of one exchange; `at_ns` is when it ended."""
    head, first, last = pending.head, pending.first, connection.last or pending.first
    identifiers = head.identifiers
    client = connection.is_client
    asked, answered = _moved_bytes(connection, pending)
    send, wait, delay, receive = client_times(pending) if client else server_times(pending)
    begun = first.at_ns
    if not client and first.ready_ns and first.offset == pending.request_start:
        begun = first.ready_ns
    ended = pending.response_last_at if outcome in ("ok", "http_error", "tunnel") else at_ns
    end = _endpoint(correlator, connection, first)
    target = correlator.routes.target(head.target)
    retransmits = max(last.retransmits - first.retransmits, 0)
    if connection.facts is not None:
        retransmits = max(connection.facts.retransmits - first.retransmits, retransmits)
    warned = bool(retransmits) or pending.attempt > 1 or (delay or 0) > correlator.read_delay_warning_ms
    connected = client and pending.number == 1 and connection.connect_ns and connection.established_ns
    before = pending.retry_of
    return Exchange(
        id=pending.id,
        seq=0,
        started_at=text.timestamp(begun + correlator.wall_offset_ns),
        elapsed_ms=_ms(max(ended - begun, 0)) if outcome is not None else None,
        service=end.service,
        role="client" if client else "server",
        pid=first.pid,
        tid=first.tid,
        comm=end.comm,
        cgroup=end.cgroup,
        protocol=f"http/{pending.version}",
        method=head.method,
        route=correlator.routes.route(end.service, target.path),
        target=target.shown,
        host=target.authority if target.authority is not None else head.host,
        trace_id=identifiers.trace_id,
        span_id=identifiers.span_id,
        trace_source=identifiers.trace_source,
        request_id=identifiers.request_id,
        idempotency_key=identifiers.idempotency_key,
        status_code=pending.status or None,
        outcome=outcome,  # type: ignore[arg-type]
        severity=_severity(outcome, pending.status, warned=warned),  # type: ignore[arg-type]
        bytes_sent=asked if client else answered,
        bytes_received=answered if client else asked,
        local_ip=end.local_ip,
        local_port=first.local_port,
        peer_ip=end.peer_ip,
        peer_port=first.peer_port,
        internal_ip=None,
        external_ip=None,
        connection_id=connection.cookie,
        exchange_no=pending.number,
        connect_ms=_ms(connection.established_ns - connection.connect_ns) if connected else None,
        send_ms=send,
        wait_ms=wait,
        read_delay_ms=delay,
        receive_ms=receive,
        srtt_us=last.srtt_us or None,
        min_rtt_us=last.min_rtt_us if last.min_rtt_us < 0xFFFFFFFF else None,
        retransmits=retransmits,
        attempt=pending.attempt,
        retry_of=before.id if before else None,
        retry_reason=before.reason if before else None,
        quality=_quality(pending, outcome, joined=connection.joined, cut=target.cut),
    )


def connection_event(correlator: "Correlator", connection: "Connection", change: Changed) -> ConnectionEvent:
    """Build the event of a connection at its end, or as it stands (ChangeKind.STANDING)."""
    standing = change.kind == ChangeKind.STANDING
    outcome, symbol = _connection_outcome(connection, change, standing=standing)
    first: Moved | Changed = change if change.pid else (connection.first or change)
    known = first.pid != 0
    name = text.comm(first.comm) if known else None
    service = cgroup = None
    if known:
        identity = correlator.processes.lookup(first.pid, first.started_ns, first.exec_id, name or "", first.cgroup_id)
        service, cgroup = identity.service, identity.cgroup
    begun = connection.connect_ns or connection.established_ns or connection.opened_at
    connected = connection.connect_ns and connection.established_ns
    return ConnectionEvent(
        id=correlator.connection_id(connection.cookie),
        seq=0,
        started_at=text.timestamp(begun + correlator.wall_offset_ns),
        elapsed_ms=None if standing else _ms(max(change.at_ns - begun, 0)),
        service=service,
        role=_role(connection, change),  # type: ignore[arg-type]
        pid=first.pid or None,
        tid=first.tid or None,
        comm=name,
        cgroup=cgroup,
        protocol="http/1.1" if connection.spoke else None,
        outcome=outcome,  # type: ignore[arg-type]
        errno=symbol,
        severity="error" if outcome in ("refused", "reset", "timeout") else "info",
        bytes_sent=change.sent_bytes,
        bytes_received=change.received_bytes,
        segments_sent=change.segments_out,
        segments_received=change.segments_in,
        exchanges=connection.exchanges,
        kernel_exchanges=change.exchanges,
        local_ip=text.address(change.local),
        local_port=change.local_port,
        peer_ip=text.address(change.peer),
        peer_port=change.peer_port,
        internal_ip=None,
        external_ip=None,
        connection_id=connection.cookie,
        connect_ms=_ms(connection.established_ns - connection.connect_ns) if connected else None,
        srtt_us=change.srtt_us or None,
        min_rtt_us=change.min_rtt_us if change.min_rtt_us < 0xFFFFFFFF else None,
        retransmits=change.retransmits,
        quality=Quality(joined_mid=connection.joined, truncated=standing),
    )


def _role(connection: "Connection", change: Changed) -> str | None:
    if change.flags & ChangeFlag.CONNECTOR:
        return "client"
    if connection.requests is not None:
        return "client" if connection.requests == Direction.SENT else "server"
    return None if connection.joined else "server"


def _connection_outcome(connection: "Connection", change: Changed, *, standing: bool) -> tuple[str | None, str | None]:
    if standing:
        return None, None
    symbol = errno.errorcode.get(change.error) if change.error else None
    if not connection.established_ns and not connection.joined:
        return ("refused", symbol) if change.error else ("closed_by_local", None)
    if connection.reset:
        return "reset", symbol
    return "ok", symbol
