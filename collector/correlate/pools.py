"""A census of connections: how many each service holds to whom, how many are busy, and what it reads besides HTTP."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

from collector.correlate import text
from collector.correlate.connection import NOT_HTTP, Connection
from collector.correlate.correlator import Correlator
from collector.domain.metrics import PoolFacts
from collector.domain.observed import Changed, ChangeKind, Direction
from collector.domain.status import OpenConnection, Stream

if TYPE_CHECKING:
    from collector.domain.events import Role

_STREAMS = 200
_LOOKED_AT = 10_000  # open connections that one question looks at: it holds everybody else up meanwhile
_OPEN = frozenset({ChangeKind.OPENED, ChangeKind.STANDING})


def pools(correlator: Correlator) -> list[PoolFacts]:
    """Return the connections that carry HTTP: a client's by the peer's address, a server's all together."""
    found: dict[tuple[str | None, Role, str | None, int | None], list[int]] = {}
    for connection in correlator.connections():
        end = connection.end
        if end is None or connection.mode is NOT_HTTP or not _is_open(connection):
            continue
        if connection.is_client:
            counts = found.setdefault((end.service, "client", end.peer_ip, end.peer_port), [0, 0])
        else:
            counts = found.setdefault((end.service, "server", None, None), [0, 0])
        counts[0] += 1
        counts[1] += bool(connection.pending)
    return [
        PoolFacts(service=service, role=role, peer_ip=peer_ip, peer_port=peer_port, open=opened, busy=busy)
        for (service, role, peer_ip, peer_port), (opened, busy) in found.items()
    ]


def streams(correlator: Correlator, standing: Iterable[Changed]) -> tuple[Stream, ...]:
    """Return who talks to whom by something else than HTTP, over connections that are open; the largest ones."""
    totals = {change.connection: change for change in standing}
    found: dict[tuple[str, Role | None, str, int | None, int | None], list[int]] = {}
    for connection in correlator.connections():
        end, change = connection.end, totals.get(connection.cookie)
        if end is None or end.service is None or change is None or not _is_other(connection):
            continue
        role: Role | None = "client" if connection.connect_ns else None if connection.joined else "server"
        peer_port = None if role == "server" else end.peer_port
        local_port = None if role == "client" else end.local_port
        counts = found.setdefault((end.service, role, end.peer_ip, peer_port, local_port), [0] * 3)
        for at, more in enumerate((1, change.sent_bytes, change.received_bytes)):
            counts[at] += more
    largest = sorted(found.items(), key=lambda one: -one[1][1] - one[1][2])[:_STREAMS]
    return tuple(
        Stream(
            service=service,
            role=role,
            peer_ip=ip,
            peer_port=peer_port,
            local_port=local_port,
            connections=counts[0],
            bytes_sent=counts[1],
            bytes_received=counts[2],
        )
        for (service, role, ip, peer_port, local_port), counts in largest
    )


def has_streams(correlator: Correlator) -> bool:
    """Tell whether it is worth asking the kernel for the totals of connections that are not HTTP."""
    return any(_is_other(connection) for connection in correlator.connections())


def _is_other(connection: Connection) -> bool:
    return connection.mode is NOT_HTTP or (connection.joined and not connection.spoke)


def _is_open(connection: Connection) -> bool:
    """No end of it has been seen in either direction."""
    return not connection.reset and (connection.facts is None or connection.facts.kind in _OPEN)


def intake(correlator: Correlator, standing: Iterable[Changed]) -> dict[str, int]:
    """Return the bytes that each service has read over open connections that are not HTTP; `standing`: of Probe."""
    others = {one.cookie: one.end for one in correlator.connections() if one.mode is NOT_HTTP}
    found: dict[str, int] = {}
    for change in standing:
        end = others.get(change.connection)
        if end is not None and end.service is not None:
            found[end.service] = found.get(end.service, 0) + change.received_bytes
    return found


def open_connections(
    correlator: Correlator, accept: Callable[[OpenConnection], bool] | None, limit: int
) -> list[OpenConnection]:
    """Return the open connections that fit, of the newest 10,000, newest first.

    Another thread may ask while records are taken: the list of them is copied at once, and each is told as it is then.
    """
    newest = islice(reversed(list(correlator.connections())), _LOOKED_AT)
    told = (_open_connection(correlator, one) for one in newest if _is_open(one))
    return list(islice((one for one in told if one is not None and (accept is None or accept(one))), limit))


def _open_connection(correlator: Correlator, connection: Connection) -> OpenConnection | None:
    end = connection.end
    if end is None:  # nobody moved a byte yet
        return None
    role: Role | None = "client" if connection.connect_ns else "server"
    if connection.requests is not None:
        role = "client" if connection.is_client else "server"
    elif connection.joined:
        role = None
    sent, received = connection.sides[Direction.SENT], connection.sides[Direction.RECEIVED]
    since = connection.connect_ns or connection.established_ns or connection.opened_at
    return OpenConnection(
        connection_id=connection.cookie,
        since=text.timestamp(since + correlator.wall_offset_ns),
        service=end.service,
        role=role,
        pid=end.pid,
        comm=end.comm,
        protocol="http/1.1" if connection.spoke else None,
        local_ip=end.local_ip,
        local_port=end.local_port,
        peer_ip=end.peer_ip,
        peer_port=end.peer_port,
        exchanges=connection.exchanges,
        under_way=len(connection.pending),
        bytes_sent=sent.expected,
        bytes_received=received.expected,
        retransmits=connection.retransmits,
        joined_mid=connection.joined,
    )
