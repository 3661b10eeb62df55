"""The one entry of understanding: observations in, events out. No I/O; time comes with the observations."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from collector.correlate import telling
from collector.correlate.attempts import AttemptTable
from collector.correlate.connection import FOR_EVER, Connection
from collector.correlate.pending import Pending
from collector.correlate.routes import RouteTable
from collector.domain.events import Connection as ConnectionEvent
from collector.domain.events import Exchange
from collector.domain.observed import Changed, ChangeFlag, ChangeKind, Moved, MovedFlag, Observation
from collector.domain.services import Processes
from collector.wire.head import HeadParser

if TYPE_CHECKING:
    from collector.correlate.connection import Connection as _Connection

_CONNECTION_LIMIT: Final = 1 << 17

Told = Exchange | ConnectionEvent
Accept = Callable[[Told], bool]


class Correlator:
    """Connections by cookie. Give it observations in the order of the ring; take events, hints and counts."""

    def __init__(  # noqa: PLR0913  # the ports of the core, each by name
        self,
        *,
        run_id: str,
        wall_offset_ns: int,
        processes: Processes,
        routes: RouteTable | None = None,
        accept: Accept | None = None,
        include_connections: bool = False,
        read_delay_warning_ms: float = 50.0,
    ) -> None:
        self.wall_offset_ns = wall_offset_ns
        self.processes = processes
        self.routes = routes or RouteTable()
        self.heads = HeadParser()
        self.read_delay_warning_ms = read_delay_warning_ms
        self.seq = 0
        self.by_role = {"client": 0, "server": 0}
        self.connections_seen = 0
        self.not_http = 0
        self.losses: dict[tuple[str, str], int] = {}
        self._run_id = run_id
        self._accept = accept
        self._include_connections = include_connections
        self._connections: dict[int, Connection] = {}
        self._attempts = AttemptTable()
        self._hints: list[tuple[int, int, int]] = []
        self._out: list[Told] = []

    # -- in --------------------------------------------------------------------------------------------------------

    def receive_all(self, observations: Iterable[Observation]) -> list[Told]:
        """Take a batch; return the events that it completed."""
        connections = self._connections
        for one in observations:
            if type(one) is Moved:
                connection = connections.get(one.connection)
                if connection is None:
                    connection = self._open(one.connection, one.at_ns, joined=bool(one.flags & MovedFlag.JOINED))
                    connection.first_offsets(one)
                connection.moved(one)
            elif type(one) is Changed:
                self._change(one)
        out, self._out = self._out, []
        return out

    def _open(self, cookie: int, at_ns: int, *, joined: bool) -> Connection:
        if len(self._connections) >= _CONNECTION_LIMIT:
            self._connections.pop(next(iter(self._connections))).end(at_ns)
            self.count_loss("correlate", "connection_table_full")
        connection = self._connections[cookie] = Connection(self, cookie, at_ns, joined=joined)
        self.connections_seen += 1
        return connection

    def _change(self, change: Changed) -> None:
        connection = self._connections.get(change.connection)
        if connection is None:
            joined = bool(change.flags & ChangeFlag.JOINED)
            connection = self._open(change.connection, change.at_ns, joined=joined)
            connection.opened_with(change)
        connection.changed(change)
        if change.kind == ChangeKind.DESTROYED:
            del self._connections[change.connection]
            self._tell_connection(connection, change)

    def expire(self, now_ns: int) -> list[Told]:
        """Give up what will not come any more; call a few times a second."""
        for connection in self._connections.values():
            connection.expire(now_ns)
        self._attempts.expire(now_ns)
        out, self._out = self._out, []
        return out

    def finish(self, now_ns: int, standing: Iterable[Changed] = ()) -> list[Told]:
        """End the watch: open exchanges are told as they stand, connections with the kernel's totals."""
        for change in standing:
            if change.kind == ChangeKind.DESTROYED:
                self._change(change)
        totals = {change.connection: change for change in standing}
        for cookie, connection in list(self._connections.items()):
            connection.flush()
            connection.stand(now_ns)
            known = totals.get(cookie) or connection.facts
            if known is not None:
                self._tell_connection(connection, msgspec.structs.replace(known, kind=ChangeKind.STANDING))
        self._connections.clear()
        out, self._out = self._out, []
        return out

    # -- what connections call -------------------------------------------------------------------------------------

    def exchange_id(self, cookie: int, number: int) -> str:
        """Return an ID that no other exchange ever has."""
        return f"{self._run_id}-{cookie:x}-{number}"

    def connection_id(self, cookie: int) -> str:
        """Return an ID that no other connection ever has."""
        return f"{self._run_id}-{cookie:x}-c"

    def begin_attempt(self, connection: "_Connection", pending: Pending) -> None:
        """Link a request to the attempt before it; only the asking end retries."""
        identifiers = pending.head.identifiers
        if connection.is_client and (identifiers.idempotency_key or identifiers.request_id):
            target = self.routes.target(pending.head.target)
            self._attempts.begin(pending, target.path, target.authority or pending.head.host)

    def tell(self, connection: "_Connection", pending: Pending, outcome: str | None, at_ns: int) -> None:
        """Put out the event of an exchange, if it is wanted."""
        event = telling.exchange(self, connection, pending, outcome, at_ns)
        if pending.told is not None:
            pending.told.reason = str(pending.status) if pending.status else outcome
        if self._accept is None or self._accept(event):
            self.by_role[event.role] += 1
            self._put(event)

    def _tell_connection(self, connection: Connection, change: Changed) -> None:
        if self._include_connections:
            event = telling.connection_event(self, connection, change)
            if self._accept is None or self._accept(event):
                self._put(event)

    def _put(self, event: Told) -> None:
        self.seq += 1
        msgspec.structs.force_setattr(event, "seq", self.seq)  # not shared before this line
        self._out.append(event)

    def hint(self, connection: int, direction: int, until: int) -> None:
        """Note that the kernel need not copy what lies below `until`."""
        self._hints.append((connection, direction, min(until, FOR_EVER)))

    def take_hints(self) -> list[tuple[int, int, int]]:
        """Return (connection, direction, until) since the last call."""
        hints, self._hints = self._hints, []
        return hints

    def count_loss(self, stage: str, reason: str) -> None:
        """Account for something that could not be understood or kept."""
        self.losses[(stage, reason)] = self.losses.get((stage, reason), 0) + 1
