"""From what is known to the event that everyone sees: times, counts, severity. Nothing is invented here."""

import errno
from typing import TYPE_CHECKING, Final

from collector.correlate import text
from collector.correlate.pending import Pending
from collector.domain.events import Connection as ConnectionEvent
from collector.domain.events import Exchange, Quality
from collector.domain.observed import Changed, ChangeFlag, ChangeKind, Direction

if TYPE_CHECKING:
    from collector.correlate.connection import Connection
    from collector.correlate.correlator import Correlator

_MS: Final = 1_000_000
_EARLY_NS: Final = 1_000_000  # a first byte this much before our last one went out is an early answer, not a race
_GOOD: Final = frozenset({"ok", "http_error", "tunnel", "truncated", None})
_ANSWERED: Final = frozenset({"ok", "http_error", "tunnel"})
_PROTOCOLS: Final = {version: f"http/{version}" for version in ("1.0", "1.1")}
_NO_RTT: Final = 0xFFFFFFFF
_JOINED: Final = Quality(joined_mid=True)
_PLAIN: Final = Quality()

Parts = tuple[float | None, float | None, float | None, float | None]


def _ms(ns: int) -> float:
    return ns / _MS


def client_times(pending: Pending) -> Parts:
    """Return (send, wait, read delay, receive) as the asking end saw them, milliseconds."""
    sent, ready = pending.sent_at, pending.response_ready
    read, last = pending.response_first_at, pending.response_last_at
    send = (sent - pending.begun_at) / _MS if sent else None
    receive = (last - read) / _MS if read and last >= read else None
    if not read or not ready:
        return send, None, None, receive
    if not sent or ready < sent - _EARLY_NS:
        return send, None, (read - ready) / _MS if read > ready else 0.0, receive
    if read < sent:
        return send, None, None, receive
    arrived = max(sent, ready)  # on loopback the answer may be there before our own call returns
    arrived = min(arrived, read)
    return send, (arrived - sent) / _MS, (read - arrived) / _MS, receive


def server_times(pending: Pending) -> Parts:
    """Return (send, wait, read delay, receive) as the answering end saw them, milliseconds."""
    read, got, ready = pending.begun_at, pending.sent_at, pending.ready_at
    begun, last = pending.response_first_at, pending.response_last_at
    delay = None
    if ready:
        delay = (read - ready) / _MS if read > ready else 0.0
    receive = (got - read) / _MS if got else None
    wait = (begun - got) / _MS if got and begun >= got else None
    send = (last - begun) / _MS if begun and last >= begun else None
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
    asked_to, start, end = pending.request_end, pending.response_start, pending.response_end
    if asked_to >= 0 <= start <= end:
        return asked_to - pending.request_start, end - start
    requests = connection.requests or 0
    asking, answering = connection.sides[requests], connection.sides[1 - requests]
    if asked_to < 0:
        asked_to = asking.expected if connection.current is pending else pending.request_start
        if pending.head.truncated or pending.endless:
            asked_to = asking.expected
    if start < 0 and answering.buffer:
        start = answering.buffer_start
    if start >= 0 and end < 0:
        end = answering.expected
    return asked_to - pending.request_start, max(end - start, 0) if start >= 0 else 0


def exchange_id(connection: "Connection", pending: Pending) -> str:
    """Return an ID that no other exchange ever has."""
    return f"{connection.name}{pending.number}"


def exchange(
    correlator: "Correlator", connection: "Connection", pending: Pending, outcome: str | None, at_ns: int
) -> Exchange:
    """Build the event of one exchange; `at_ns` is when it ended."""
    head, end, begun, status = pending.head, pending.end, pending.begun_at, pending.status
    identifiers = head.identifiers
    client = connection.is_client
    if client:
        sent, received = _moved_bytes(connection, pending)
        send, wait, delay, receive = client_times(pending)
    else:
        received, sent = _moved_bytes(connection, pending)
        send, wait, delay, receive = server_times(pending)
        begun = pending.ready_at or begun
    elapsed = None
    if outcome is not None:
        ended = pending.response_last_at if outcome in _ANSWERED else at_ns
        elapsed = (ended - begun) / _MS if ended > begun else 0.0
    target = correlator.routes.target(head.target)
    retransmits = connection.retransmits
    if connection.facts is not None and connection.facts.retransmits > retransmits:
        retransmits = connection.facts.retransmits
    retransmits = retransmits - pending.retransmits if retransmits > pending.retransmits else 0
    warned = retransmits or pending.attempt > 1 or (delay is not None and delay > correlator.read_delay_warning_ms)
    connect = None
    if client and pending.number == 1 and connection.connect_ns and connection.established_ns:
        connect = (connection.established_ns - connection.connect_ns) / _MS
    before = pending.retry_of
    return Exchange(
        id=exchange_id(connection, pending),
        seq=correlator.seq + 1,  # its number if it is put out
        started_at=text.timestamp(begun + correlator.wall_offset_ns),
        elapsed_ms=elapsed,
        service=end.service,
        role="client" if client else "server",
        pid=end.pid,
        tid=pending.tid,
        comm=end.comm,
        cgroup=end.cgroup,
        protocol=_PROTOCOLS.get(pending.version) or f"http/{pending.version}",
        method=head.method,
        route=correlator.routes.route(end.service, target.path),
        target=target.shown,
        host=target.authority if target.authority is not None else head.host,
        trace_id=identifiers.trace_id,
        span_id=identifiers.span_id,
        trace_source=identifiers.trace_source,
        request_id=identifiers.request_id,
        idempotency_key=identifiers.idempotency_key,
        status_code=status or None,
        outcome=outcome,  # type: ignore[arg-type]
        severity=_severity(outcome, status, warned=bool(warned)),  # type: ignore[arg-type]
        bytes_sent=sent,
        bytes_received=received,
        local_ip=end.local_ip,
        local_port=end.local_port,
        peer_ip=end.peer_ip,
        peer_port=end.peer_port,
        internal_ip=None,
        external_ip=None,
        connection_id=connection.cookie,
        exchange_no=pending.number,
        connect_ms=connect,
        send_ms=send,
        wait_ms=wait,
        read_delay_ms=delay,
        receive_ms=receive,
        srtt_us=connection.srtt_us or None,
        min_rtt_us=connection.min_rtt_us if connection.min_rtt_us < _NO_RTT else None,
        retransmits=retransmits,
        attempt=pending.attempt,
        retry_of=before.id if before else None,
        retry_reason=before.reason if before else None,
        quality=_quality(pending, outcome, joined=connection.joined, cut=target.cut),
    )


def connection_event(correlator: "Correlator", connection: "Connection", change: Changed) -> ConnectionEvent:
    """Build the event of a connection at its end, or as it stands (ChangeKind.STANDING)."""
    standing, caller = change.kind == ChangeKind.STANDING, change.caller
    outcome, symbol = _connection_outcome(connection, change, standing=standing)
    end, tid = (correlator.endpoint(caller), caller.tid) if caller.pid else (connection.end, connection.first_tid)
    begun = connection.connect_ns or connection.established_ns or connection.opened_at
    connected = connection.connect_ns and connection.established_ns
    return ConnectionEvent(
        id=f"{connection.name}c",
        seq=correlator.seq + 1,  # its number if it is put out
        started_at=text.timestamp(begun + correlator.wall_offset_ns),
        elapsed_ms=None if standing else _ms(max(change.at_ns - begun, 0)),
        service=end.service if end else None,
        role=_role(connection, change),  # type: ignore[arg-type]
        pid=end.pid if end else None,
        tid=tid or None,
        comm=end.comm if end else None,
        cgroup=end.cgroup if end else None,
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
        local_ip=text.address(caller.local),
        local_port=caller.local_port,
        peer_ip=text.address(caller.peer),
        peer_port=caller.peer_port,
        internal_ip=None,
        external_ip=None,
        connection_id=connection.cookie,
        connect_ms=_ms(connection.established_ns - connection.connect_ns) if connected else None,
        srtt_us=change.srtt_us or None,
        min_rtt_us=change.min_rtt_us if change.min_rtt_us < _NO_RTT else None,
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
