"""One trace, put together from the exchanges that are kept."""

from typing import Final

from api.dto.pages import Trace
from api.services.recent import Recent
from collector.domain.events import Exchange

_LIMIT: Final = 1_000


def find(kept: Recent[Exchange], trace_id: str) -> Trace | None:
    """Return the trace, None where no kept exchange has this ID."""
    found = kept.matching(lambda event: event.trace_id == trace_id, _LIMIT + 1)
    if not found:
        return None
    shown = found[:_LIMIT]
    return Trace(
        trace_id=trace_id,
        exchanges=shown,
        services=sorted({event.service for event in shown if event.service}),
        complete=len(found) <= _LIMIT,
    )
