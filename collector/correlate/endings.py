"""How exchanges end where the connection's life ends them: FIN, close, reset, destruction, the end of the watch.

RFC 9112 section 8 and 9.6; outcomes as in docs/specs/watch.md.
"""

from typing import TYPE_CHECKING, Final

from collector.correlate.side import CLOSE
from collector.domain.observed import Changed, ChangeFlag, ChangeKind, Direction

if TYPE_CHECKING:
    from collector.correlate.connection import Connection
    from collector.correlate.pending import Pending

_GIVE_UP_NS: Final = 1_000_000
_CLOSED_BOTH_WAYS: Final = 3


def changed(connection: "Connection", change: Changed) -> None:
    """Take one step in the connection's life."""
    connection.facts = change
    connection.connect_ns = change.connect_ns or connection.connect_ns
    connection.established_ns = change.established_ns or connection.established_ns
    if change.flags & ChangeFlag.RESET_RECEIVED:
        connection.reset = True
    connection.reached(change)
    match ChangeKind(change.kind):
        case ChangeKind.OPENED:
            if connection.requests is None and not connection.joined:
                client = change.flags & ChangeFlag.CONNECTOR
                connection.requests = Direction.SENT if client else Direction.RECEIVED
        case ChangeKind.PEER_FINISHED:
            connection.peer_finished = True
            _note_peer_end(connection, change)
        case ChangeKind.LOCAL_FINISHED:
            _local_ended(connection, change)
        case ChangeKind.CLOSED:
            _note_peer_end(connection, change)
            if not connection.reset or change.received_bytes >= change.peer_end:
                end(connection, change.at_ns, unread=change.peer_end > change.received_bytes)
        case ChangeKind.DESTROYED:
            end(connection, change.at_ns, unread=change.peer_end > change.received_bytes)
        case ChangeKind.STANDING:
            pass


def _note_peer_end(connection: "Connection", change: Changed) -> None:
    connection.peer_end = change.peer_end
    if connection.sides[Direction.RECEIVED].expected >= connection.peer_end and not connection.reset:
        peer_ended(connection, change.at_ns)


def peer_ended(connection: "Connection", at_ns: int) -> None:
    """Everything the peer will ever send has been read."""
    if not connection.is_client or not connection.pending:
        return
    if connection.reset and not connection.peer_finished:
        end(connection, at_ns)
        return
    if connection.sides[Direction.RECEIVED].state == CLOSE:
        _until_close_done(connection)
    while connection.pending:
        connection.tell(connection.pending.popleft(), "closed_by_peer", at_ns)
    connection.lose_all()


def _until_close_done(connection: "Connection") -> None:
    side = connection.sides[1 - (connection.requests or 0)]
    pending = connection.pending.popleft()
    pending.response_end, pending.response_last_at = side.expected, side.last_at
    connection.complete(pending)
    side.lose()


def _local_ended(connection: "Connection", change: Changed) -> None:
    """Our FIN: the end of what we answer; of what we ask only if nothing is to be read any more."""
    if not connection.is_client and connection.requests is not None:
        if connection.pending and connection.sides[Direction.SENT].state == CLOSE:
            _until_close_done(connection)
        if change.shutdown == _CLOSED_BOTH_WAYS or connection.pending:
            end(connection, change.at_ns)
    elif change.shutdown == _CLOSED_BOTH_WAYS:
        end(connection, change.at_ns)


def end(connection: "Connection", at_ns: int, *, unread: bool = False) -> None:
    """The observed end is done with the connection, or it is gone: what is open ends now."""
    connection.flush()
    connection.tell_late()
    if not connection.reset:
        connection.drain(at_ns)
    while connection.pending:
        pending = connection.pending.popleft()
        connection.tell(pending, _why_ended(connection, pending, at_ns, unread=unread), at_ns)
    connection.lose_all()


def _why_ended(connection: "Connection", pending: "Pending", at_ns: int, *, unread: bool) -> str:
    if connection.peer_finished and not connection.is_client:
        return "closed_by_peer"
    if connection.reset:
        return "reset"
    answered = pending.status or connection.sides[Direction.RECEIVED].buffer
    sent_at = pending.sent_at
    if connection.is_client and not answered and not unread and sent_at and at_ns - sent_at >= _GIVE_UP_NS:
        return "timeout"
    return "closed_by_local"


def stand(connection: "Connection", at_ns: int) -> None:
    """The watch ends, or we give the connection up: tell what is open as it stands."""
    connection.flush()
    connection.tell_late()
    while connection.pending:
        connection.tell(connection.pending.popleft(), None, at_ns)
