"""What was lost, from every stage, and whether the totals balance."""

from api.dto.feed import FeedStatistics
from api.dto.losses import Balance, Losses, Untraced
from collector.domain.status import ObserverStatus

Reasons = dict[str, dict[str, int]]


def account(
    status: ObserverStatus,
    *,
    feed: FeedStatistics,
    bus: dict[str, int],
    engine: Reasons,
    kept: tuple[int, int],
) -> Losses:
    """Return the account; `kept` is how many exchanges and connections reached the API."""
    stages = {stage: dict(reasons) for stage, reasons in status.lost.items()}
    for stage, reasons in engine.items():
        stages.setdefault(stage, {}).update(reasons)
    if bus:
        stages["bus"] = bus
    if feed.missed:
        stages["feed"] = {"slow_client": feed.missed}
    stages = {stage: found for stage, reasons in stages.items() if (found := {k: v for k, v in reasons.items() if v})}
    exchanges, connections = kept
    records = status.records
    return Losses(
        total=sum(sum(reasons.values()) for reasons in stages.values()),
        stages=stages,
        untraced=Untraced(exchanges=feed.untraced, connections=connections),
        records=records,
        kernel=status.kernel,
        exchanges=status.exchanges,
        feed=feed,
        balance=[
            _balance(
                "captured = decoded + lost",
                records.get("captured", 0),
                records.get("decoded", 0) + records.get("lost", 0),
            ),
            _balance("told = stored + lost on the bus", status.told, exchanges + connections + sum(bus.values())),
            _balance("stored = traced + untraced", exchanges, feed.traced + feed.untraced),
            _balance("published = delivered + missed", feed.published, feed.delivered + feed.missed),
        ],
    )


def _balance(equation: str, left: int, right: int) -> Balance:
    return Balance(equation=equation, left=left, right=right, difference=left - right)
