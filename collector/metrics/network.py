"""Snapshots of the traffic over a window, out of the store."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from collector.domain.metrics import (
    Coverage,
    Distribution,
    NetworkSnapshot,
    PeerTraffic,
    Pool,
    RouteTraffic,
    Traffic,
    Window,
)
from collector.metrics import hdr
from collector.metrics.series import Series
from collector.metrics.store import Store
from collector.metrics.windows import (
    CONNECT,
    ELAPSED,
    READ_DELAY,
    RECEIVED,
    RETRANSMITS,
    RETRIES,
    SENT,
    WAIT,
    Amounts,
    covered_s,
)

if TYPE_CHECKING:
    from collector.domain.events import Role

LISTED: Final = 25  # routes and peers in one snapshot, the busiest ones
PERCENTILES: Final = (50.0, 95.0, 99.0, 99.9)


def distribution(counts: hdr.Counts, total_us: int) -> Distribution | None:
    """Return the percentiles of counts by HDR index; None where there are none."""
    number = sum(counts.values())
    if not number:
        return None
    p50, p95, p99, p999 = hdr.percentiles(counts, PERCENTILES)
    return Distribution(
        count=number,
        min_ms=hdr.lowest_at(min(counts)) / 1000,
        mean_ms=total_us / number / 1000,
        p50_ms=p50 / 1000,
        p95_ms=p95 / 1000,
        p99_ms=p99 / 1000,
        p999_ms=p999 / 1000,
        max_ms=hdr.highest_at(max(counts)) / 1000,
    )


def traffic(amounts: Amounts, seconds: float) -> Traffic:
    """Return what a window holds."""
    outcomes: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    exchanges = errors = 0
    for kind, count in amounts.kinds.items():
        outcomes[kind.outcome] += count
        classes[kind.status_class] += count
        exchanges += count
        errors += count if kind.error else 0
    spans = [distribution(counts, us) for counts, us in zip(amounts.spans, amounts.spans_us, strict=True)]
    return Traffic(
        exchanges=exchanges,
        per_second=exchanges / seconds if seconds else 0.0,
        errors=errors,
        error_ratio=errors / exchanges if exchanges else None,
        retries=amounts.sums[RETRIES],
        timeouts=outcomes["timeout"],
        retransmits=amounts.sums[RETRANSMITS],
        bytes_sent=amounts.sums[SENT],
        bytes_received=amounts.sums[RECEIVED],
        outcomes=dict(sorted((name, count) for name, count in outcomes.items() if count)),
        status_classes=dict(sorted(classes.items())),
        elapsed=spans[ELAPSED],
        connect=spans[CONNECT],
        wait=spans[WAIT],
        read_delay=spans[READ_DELAY],
    )


class Network:
    """Reads windows from the store, as of the time the store was last advanced to."""

    def __init__(self, store: Store, window: Window, started_ns: int) -> None:
        store.fold()
        self._store = store
        self._window = window
        self._now_ns = store.now_ns
        self.covered_s = covered_s(window, now_ns=store.now_ns, started_ns=started_ns)

    def of(self, series: Iterable[Series]) -> Amounts:
        """Return what a window of these series holds together."""
        amounts = Amounts()
        for one in series:
            one.track.add_window(self._window, self._now_ns, amounts)
        return amounts

    def traffic(self, series: Iterable[Series]) -> Traffic:
        """Return the traffic of these series together."""
        return traffic(self.of(series), self.covered_s)

    def busiest(self, series: Iterable[Series], sides: "dict[Role, Traffic]") -> list[tuple[Series, Traffic]]:
        """Return the series with traffic in the window, the busiest ones, most first.

        `sides`: what all of them hold together; of a series with as many exchanges it is what that one holds.
        """
        counted = [(one, one.track.exchanges(self._window, self._now_ns)) for one in series]
        active = sorted((-count, one.role, one.service, one.name) for one, count in counted if count)
        wanted = {key[1:] for key in active[:LISTED]}
        found = {key: one for one, _ in counted if (key := (one.role, one.service, one.name)) in wanted}
        listed = [(-less, found[role, ours, name]) for less, role, ours, name in active[:LISTED]]
        return [
            (one, sides[one.role] if sides[one.role].exchanges == count else self.traffic((one,)))
            for count, one in listed
        ]

    def snapshot(
        self,
        *,
        service: str | None,
        route: str | None,
        peer: str | None,
        pools: Sequence[Pool],
        coverage: Coverage,
    ) -> NetworkSnapshot:
        """Return everything of the window for one service, route or peer, or for all."""
        store = self._store
        ours = [one for one in store.services if service in (None, one.service)]
        routes = [one for one in store.routes if service in (None, one.service) and route in (None, one.name)]
        peers = [one for one in store.peers if service in (None, one.service) and peer in (None, one.name)]
        whole = routes if route is not None else peers if peer is not None else ours
        sides: dict[Role, Traffic] = {
            role: self.traffic(one for one in whole if one.role == role) for role in ("client", "server")
        }
        return NetworkSnapshot(
            window=self._window,
            covered_s=self.covered_s,
            service=service,
            route=route,
            peer=peer,
            client=sides["client"],
            server=sides["server"],
            routes=tuple(
                RouteTraffic(service=one.service, role=one.role, route=one.name, traffic=found)
                for one, found in self.busiest(routes if peer is None else (), sides)
            ),
            peers=tuple(
                PeerTraffic(service=one.service, role=one.role, peer=one.name, traffic=found)
                for one, found in self.busiest(peers if route is None else (), sides)
            ),
            pools=tuple(pool for pool in pools if service in (None, pool.service) and peer in (None, pool.peer)),
            coverage=coverage,
            overflow=dict(sorted(store.overflow.items())),
        )
