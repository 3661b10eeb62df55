"""Resilience of every service towards every destination, as seen from the wire."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from collector.domain.events import Connection
from collector.domain.metrics import Pool, PoolFacts, ResilienceSnapshot, WorkerReport
from collector.metrics import labels
from collector.metrics.destination import DestinationState
from collector.metrics.moments import is_attempt

ALL_PEERS: Final = "_all"  # of a server's connections


class Resilience:
    """Destinations by service and peer, of bounded number; those beyond are not followed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._destinations: dict[tuple[str, str], DestinationState] = {}
        self._intake: Mapping[str, int] = {}
        self._taking: set[str] = set()  # services that took something in that is not HTTP, by the latest facts
        self._work: dict[str, int] = {}  # service -> exchanges, as of the last step
        self._gone = Counter[str]()  # comparisons of destinations that are gone
        self._servers: dict[str, Pool] = {}

    def __iter__(self) -> Iterator[DestinationState]:
        return iter(self._destinations.values())

    # -- in ----------------------------------------------------------------------------------------------------

    def follow(self, service: str, peer: str, now_ns: int) -> DestinationState | None:
        """Return what follows a destination; None for one too many, and for those that have no name of their own."""
        if peer == labels.OTHER:
            return None
        state = self._destinations.get((service, peer))
        if state is None:
            if len(self._destinations) >= self._limit:
                return None
            state = self._destinations[(service, peer)] = DestinationState(service, peer, now_ns)
        return state

    def connection(self, event: Connection, service: str, now_ns: int) -> None:
        """Take the end of a connection: one of a client that was never established was an attempt."""
        if is_attempt(event):
            peer = self._named(service, (event.peer_ip, event.peer_port))
            state = self.follow(service, peer, now_ns)
            if state is not None:
                state.not_connected(event, now_ns)

    def _named(self, service: str, address: tuple[str, int]) -> str:
        """Return the host that requests to an address name, else the address."""
        for state in self._destinations.values():
            if state.service == service and address in state.addresses:
                return state.peer
        host, port = address
        return f"{host}:{port}"

    def census(self, pools: Iterable[tuple[str, PoolFacts]], now_ns: int) -> None:
        """Take the connections of every service as of now, with the service's label."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        servers: dict[str, tuple[int, int]] = {}
        for service, facts in pools:
            if facts.role == "server":
                opened, busy = servers.get(service, (0, 0))
                servers[service] = (opened + facts.open, busy + facts.busy)
            elif facts.peer_ip is not None:
                key = (service, self._named(service, (facts.peer_ip, facts.peer_port or 0)))
                opened, busy = found.get(key, (0, 0))
                found[key] = (opened + facts.open, busy + facts.busy)
        for key, (_, busy) in found.items():
            if busy:
                self.follow(*key, now_ns)
        for key, state in self._destinations.items():
            state.census(*found.get(key, (0, 0)))
        self._servers = {
            service: _server_pool(service, opened, busy, self._servers.get(service))
            for service, (opened, busy) in servers.items()
        }

    @property
    def suspects(self) -> bool:
        """Whether it matters what services take in besides HTTP: some circuit may be open."""
        return any(state.circuit.suspects for state in self)

    def intake(self, reads: Mapping[str, int]) -> None:
        """Take how much each service read that is not HTTP, since the start."""
        self._taking = {service for service, count in reads.items() if count > self._intake.get(service, count)}
        self._intake = dict(reads)

    def step(self, now_ns: int, wall_ns: int, exchanges: Mapping[str, int]) -> None:
        """Settle what gathered and let time pass; `exchanges` of each service as a server, since the start."""
        work = Counter(exchanges)
        for state in self:
            state.settle(now_ns)
            work[state.service] += state.attempts
        grew = {service: count - self._work.get(service, 0) for service, count in work.items()}
        for state in self:
            others = grew[state.service] - state.grew()
            state.pass_time(wall_ns, alive=others > 0 or state.service in self._taking)
        self._work = dict(work)

    def compare(self, reports: Sequence[WorkerReport]) -> None:
        """Take what workers say of themselves: of the destination of that name, else of their busiest one."""
        for report in reports:
            ours = [state for state in self if report.service in (None, state.service)]
            named = [state for state in ours if state.peer == report.destination]
            if ours:
                max(named or ours, key=lambda state: state.attempts).compare(report)

    def expire(self, oldest_ns: int) -> bool:
        """Forget destinations in which nothing happened since; return whether there were any."""
        gone = [key for key, state in self._destinations.items() if state.last_ns <= oldest_ns and not state.open]
        for key in gone:
            comparison = self._destinations.pop(key).comparison
            self._gone.update(compared=comparison.compared, disagreed=comparison.disagreed)
        return bool(gone)

    # -- out ---------------------------------------------------------------------------------------------------

    def pools(self) -> list[Pool]:
        """Return all connections, of clients by destination, of servers by service."""
        return [state.pool() for state in self] + list(self._servers.values())

    def snapshot(self) -> ResilienceSnapshot:
        """Return everything."""
        ordered = sorted(self, key=lambda state: (state.service, state.peer))
        return ResilienceSnapshot(
            destinations=tuple(state.snapshot() for state in ordered),
            compared=self._gone["compared"] + sum(state.comparison.compared for state in ordered),
            disagreed=self._gone["disagreed"] + sum(state.comparison.disagreed for state in ordered),
        )


def _server_pool(service: str, opened: int, busy: int, before: Pool | None) -> Pool:
    peak_open = max(opened, before.peak_open if before else 0)
    return Pool(
        service=service,
        role="server",
        peer=ALL_PEERS,
        open=opened,
        busy=busy,
        idle=max(opened - busy, 0),
        peak_open=peak_open,
        peak_busy=max(busy, before.peak_busy if before else 0),
        limit=peak_open,
        saturation_ratio=busy / peak_open if peak_open else 0.0,
        queued_ratio=None,
        refused=0,
    )
