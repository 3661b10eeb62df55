"""All series, and the way of an exchange into them."""

from collections import Counter
from typing import Final

from collector.domain.events import Connection, Exchange, Role
from collector.metrics import labels
from collector.metrics.cells import Cell, Places
from collector.metrics.histogram import Histogram
from collector.metrics.resilience import Resilience
from collector.metrics.series import OVERFLOWED, CounterKey, Series, SeriesKey, Table
from collector.metrics.settings import MetricsSettings
from collector.metrics.windows import STEP_NS, Kind

_FULL: Final = 256  # exchanges that gather in a cell: who reads does not wait for more than that of each
_CELL_LIMIT: Final = 8192  # memory of label combinations; they are worked out again when needed
_RETRANSMITTING: Final = 4096  # connections whose retransmits are told by exchanges and again at their end
_SWEEP_NS: Final = 5_000_000_000

CellKey = tuple[Role, str | None, str | None, str | None, int | None, str | None, str]


class Tcp:
    """What the connections of one service did, since the start."""

    __slots__ = ("connect", "ended", "last_ns", "received", "retransmits", "role", "sent", "service", "srtt")

    def __init__(self, key: SeriesKey, now_ns: int) -> None:
        self.role, self.service, _ = key
        self.last_ns = now_ns
        self.connect = Histogram()
        self.srtt = Histogram()
        self.ended: Counter[str] = Counter()  # by outcome
        self.retransmits = self.sent = self.received = 0


def peer_of(event: Exchange | Connection) -> str:
    """Return whom a service talks to: a client's host as asked for, else address and port; a server's: address."""
    if event.role == "server":
        return event.peer_ip
    host = event.host if type(event) is Exchange else None
    return host or f"{event.peer_ip}:{event.peer_port}"


class Store:
    """Series by route, peer and service. Exchanges gather in cells until `fold`."""

    def __init__(self, settings: MetricsSettings, resilience: Resilience) -> None:
        self._settings = settings
        self._resilience = resilience
        self._cells: dict[CellKey, Cell] = {}
        self._slot = -1
        self._swept_ns = 0
        self._services = labels.Bounded(settings.services)
        self._children = 0  # counters in all series
        self._told_retransmits: dict[int, int] = {}
        self.now_ns = 0
        self.routes: Table[Series] = Table(settings.routes, Series)
        self.peers: Table[Series] = Table(settings.peers, Series)
        self.services: Table[Series] = Table(2 * settings.services + 4, Series)
        self.tcp: Table[Tcp] = Table(3 * settings.services + 6, Tcp)
        self.recorded: Counter[str] = Counter()  # exchanges by role, since the start
        self.answered: Counter[str] = Counter()  # of these, with a final response
        self.connections: Counter[str] = Counter()  # ended, by role
        self.overflow: Counter[str] = Counter()  # by label

    # -- in ----------------------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Let time pass; the end of an interval folds what it saw."""
        now_ns = max(now_ns, self.now_ns)
        slot = now_ns // STEP_NS
        if slot != self._slot:
            self.fold()
            self._slot = slot
            if now_ns - self._swept_ns >= _SWEEP_NS:
                self._sweep(now_ns)
        self.now_ns = now_ns

    def exchange(self, event: Exchange) -> None:
        """Take one exchange, as of the time last advanced to."""
        role = event.role
        peer = event.peer_ip if role == "server" else event.host or peer_of(event)
        key = (role, event.service, event.route, event.method, event.status_code, event.outcome, peer)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._open(key, event)
        cell.count += 1
        cell.sent += event.bytes_sent
        cell.received += event.bytes_received
        if (value := event.elapsed_ms) is not None:
            cell.elapsed.append(value)
            cell.traces.append(event.trace_id)
        if (value := event.wait_ms) is not None:
            cell.wait.append(value)
        if (value := event.read_delay_ms) is not None:
            cell.read_delay.append(value)
        if (value := event.connect_ms) is not None:
            cell.connect.append(value)
        if event.retransmits:
            self._retransmitted(cell, event.connection_id, event.retransmits)
        if event.attempt > 1:
            cell.retries += 1
        if cell.batch is not None:
            cell.batch.append(event)
        if cell.count >= _FULL:
            self._fold(cell)

    def _open(self, key: CellKey, event: Exchange) -> Cell:
        if len(self._cells) >= _CELL_LIMIT:
            self.forget_cells()
        role, service, route, method, status, outcome, peer = key
        now_ns = self.now_ns
        name = self._services.admit(service)
        by_route, no_route = self.routes.get((role, name, labels.value(route)), now_ns)
        by_peer, no_peer = self.peers.get((role, name, labels.value(peer)), now_ns)
        whole, _ = self.services.get((role, name, ""), now_ns)
        overflowed = tuple(
            label
            for label, over in (
                ("service", name == labels.OTHER != service),
                ("route", no_route or route == labels.OTHER),
                ("peer", no_peer),
                ("method", labels.method(method) == labels.OTHER),
            )
            if over
        )
        status_class = labels.status_class(status)
        kind = Kind(outcome or labels.OPEN, status_class, event.severity == "error")
        counter = CounterKey(labels.method(method), status_class, outcome or labels.OPEN)
        destination = self._resilience.follow(name, by_peer.name, now_ns) if role == "client" else None
        if role == "client" and destination is None:
            overflowed += ("destination",)
        cell = self._cells[key] = Cell(kind, counter, Places(by_route, by_peer, whole), overflowed)
        cell.batch = destination.batch if destination else None
        return cell

    def _retransmitted(self, cell: Cell, connection: int, count: int) -> None:
        """Count segments sent again now, not only when the connection ends; and not twice."""
        cell.retransmits += count
        told = self._told_retransmits
        if connection in told or len(told) < _RETRANSMITTING:
            told[connection] = told.get(connection, 0) + count
            self._tcp(cell.places.route.role, cell.places.route.service).retransmits += count

    def _tcp(self, role: Role, service: str) -> Tcp:
        tcp, _ = self.tcp.get((role, service, ""), self.now_ns)
        tcp.last_ns = self.now_ns
        return tcp

    def connection(self, event: Connection) -> None:
        """Take the end of one connection."""
        role: Role = event.role or "server"
        service = self._services.admit(event.service)
        tcp = self._tcp(role, service)
        tcp.ended[event.outcome or labels.OPEN] += 1
        tcp.sent += event.bytes_sent
        tcp.received += event.bytes_received
        if event.connect_ms is not None:
            tcp.connect.add((event.connect_ms,))
        if event.srtt_us:
            tcp.srtt.add((event.srtt_us / 1000,))
        tcp.retransmits += max((event.retransmits or 0) - self._told_retransmits.pop(event.connection_id, 0), 0)
        self.connections[role] += 1
        self._resilience.connection(event, service, self.now_ns)

    def service(self, name: str | None) -> str:
        """Return a service's label."""
        return self._services.admit(name)

    # -- over time ---------------------------------------------------------------------------------------------

    def fold(self) -> None:
        """Bring series and windows up to date with what the cells collected."""
        for cell in self._cells.values():
            if cell.count:
                self._fold(cell)

    def _fold(self, cell: Cell) -> None:
        for label in cell.overflowed:
            self.overflow[label] += cell.count
        route = cell.places.route
        self.recorded[route.role] += cell.count
        if cell.kind.status_class != labels.NO_STATUS:
            self.answered[route.role] += cell.count
        key = cell.key
        if key not in route.requests:
            key = self._room_for(key, cell.count)
        route.requests[key] = route.requests.get(key, 0) + cell.count
        cell.fold(self.now_ns)

    def _room_for(self, key: CounterKey, count: int) -> CounterKey:
        if self._children >= self._settings.counters:
            self.overflow["counter"] += count
            return OVERFLOWED
        self._children += 1
        return key

    def forget_cells(self) -> None:
        """Drop the memory of where exchanges are counted, as something of it is gone."""
        self.fold()
        self._cells.clear()

    def _sweep(self, now_ns: int) -> None:
        """Let windows forget, and series expire in which nothing was counted for long."""
        self._swept_ns = now_ns
        oldest = now_ns - int(self._settings.series_ttl_s * 1e9)
        dropped = 0
        for table in (self.routes, self.peers, self.services):
            for series in table:
                series.track.roll(now_ns)
            for series in table.drop(lambda one: one.track.last_ns <= oldest):
                self._children -= sum(key != OVERFLOWED for key in series.requests)
                dropped += 1
        dropped += len(self.tcp.drop(lambda one: one.last_ns <= oldest))
        if dropped:
            self.forget_cells()
            self._services.keep({series.service for series in self.services} | {tcp.service for tcp in self.tcp})
