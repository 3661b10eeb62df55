"""The one entry of understanding: observations in, events out. No I/O; time comes with the observations."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from collector.correlate import endings, telling, text
from collector.correlate.attempts import AttemptTable
from collector.correlate.connection import Connection
from collector.correlate.pending import Endpoint, Pending
from collector.correlate.routes import RouteTable
from collector.domain.bodies import Bodies
from collector.domain.events import Connection as ConnectionEvent
from collector.domain.events import Exchange
from collector.domain.observed import (
    NOTHING_MORE,
    Caller,
    Changed,
    ChangeFlag,
    ChangeKind,
    Moved,
    MovedFlag,
    Observation,
)
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
        connection_limit: int = _CONNECTION_LIMIT,
        bodies: Bodies | None = None,
    ) -> None:
        self.wall_offset_ns = wall_offset_ns
        self.processes = processes
        self.routes = routes or RouteTable()
        self.heads = HeadParser()
        self.read_delay_warning_ms = read_delay_warning_ms
        self.accept = accept  # None: every event
        self.bodies = bodies
        self.body_limit = bodies.limit if bodies else 0  # bytes of each body that are kept for the archive
        self.seq = 0
        self.by_role = {"client": 0, "server": 0}
        self.connections_seen = 0
        self.not_http = 0
        self.losses: dict[tuple[str, str], int] = {}
        self._run_id = run_id
        self._connection_limit = connection_limit
        self._include_connections = include_connections
        self._connections: dict[int, Connection] = {}
        self.waiting: dict[int, Connection] = {}  # those in which something may have to be given up
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
        if len(self._connections) >= self._connection_limit:
            oldest = self._connections.pop(next(iter(self._connections)))
            self.waiting.pop(oldest.cookie, None)
            endings.stand(oldest, at_ns)
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
        endings.changed(connection, change)
        if change.kind == ChangeKind.DESTROYED:
            del self._connections[change.connection]
            self.waiting.pop(change.connection, None)
            self._tell_connection(connection, change)

    def expire(self, now_ns: int) -> list[Told]:
        """Give up what will not come any more; call a few times a second."""
        for connection in list(self.waiting.values()):
            if not connection.expire(now_ns):
                del self.waiting[connection.cookie]
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
            known = totals.get(cookie)
            if known is not None:
                connection.reached(known)
            endings.stand(connection, now_ns)
            known = known or connection.facts
            if known is not None:
                self._tell_connection(connection, msgspec.structs.replace(known, kind=ChangeKind.STANDING))
        self._connections.clear()
        self.waiting.clear()
        out, self._out = self._out, []
        return out

    # -- what connections call -------------------------------------------------------------------------------------

    def connection_name(self, cookie: int) -> str:
        """Return what the IDs of a connection's events begin with: no other connection ever has the same."""
        return f"{self._run_id}-{cookie:x}-"

    def endpoint(self, caller: Caller) -> Endpoint:
        """Return who moved bytes or changed the connection, and between which addresses."""
        comm = text.comm(caller.comm)
        identity = self.processes.lookup(caller.pid, caller.started_ns, caller.exec_id, comm, caller.cgroup_id)
        return Endpoint(
            caller.pid, caller.started_ns, caller.exec_id, comm, identity.service, identity.cgroup,
            text.address(caller.local), caller.local_port, text.address(caller.peer), caller.peer_port,
        )  # fmt: skip

    def begin_attempt(self, connection: "_Connection", pending: Pending) -> None:
        """Link a request to the attempt before it."""
        target = self.routes.target(pending.head.target)
        exchange_id = telling.exchange_id(connection, pending)
        self._attempts.begin(pending, exchange_id, target.path, target.authority or pending.head.host)

    def tell(self, connection: "_Connection", pending: Pending, outcome: str | None, at_ns: int) -> None:
        """Put out the event of an exchange, if it is wanted."""
        event = telling.exchange(self, connection, pending, outcome, at_ns)
        if pending.told is not None:
            pending.told.reason = str(pending.status) if pending.status else outcome
        if self.accept is None or self.accept(event):
            self.by_role[event.role] += 1
            self._put(event)
            if self.bodies is not None:
                asked = pending.request_body.body(pending.request_end) if pending.request_body else None
                answered = pending.response_body.body(pending.response_end) if pending.response_body else None
                self.bodies.put(event.id, *((asked, answered) if event.role == "client" else (answered, asked)))

    def _tell_connection(self, connection: Connection, change: Changed) -> None:
        if self._include_connections:
            event = telling.connection_event(self, connection, change)
            if self.accept is None or self.accept(event):
                self._put(event)

    def _put(self, event: Told) -> None:
        self.seq = event.seq
        self._out.append(event)

    def hint(self, connection: int, direction: int, until: int) -> None:
        """Note that the kernel need not copy what lies below `until`."""
        if self.body_limit and until != NOTHING_MORE:  # the beginnings of bodies are wanted
            return
        self._hints.append((connection, direction, min(until, NOTHING_MORE)))

    def connections(self) -> Iterable[Connection]:
        """Return the connections that are followed now."""
        return self._connections.values()

    @property
    def open_connections(self) -> int:
        """Return how many connections are followed now."""
        return len(self._connections)

    def take_hints(self) -> list[tuple[int, int, int]]:
        """Return (connection, direction, until) since the last call."""
        hints, self._hints = self._hints, []
        return hints

    def count_loss(self, stage: str, reason: str) -> None:
        """Account for something that could not be understood or kept."""
        self.losses[(stage, reason)] = self.losses.get((stage, reason), 0) + 1
