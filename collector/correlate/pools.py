"""A census of connections: how many each service holds to whom, how many are busy, and what it reads besides HTTP."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from collector.correlate.connection import NOT_HTTP, Connection
from collector.correlate.correlator import Correlator
from collector.domain.metrics import PoolFacts
from collector.domain.observed import Changed, ChangeKind

if TYPE_CHECKING:
    from collector.domain.events import Role

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
