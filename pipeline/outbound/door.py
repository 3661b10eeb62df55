"""The bulkhead's shell: whoever finds no room waits here, up to a moment."""

import asyncio
from typing import Literal

from pipeline.outbound.bulkhead import Bulkhead, BulkheadPolicy, Entry


class Door:
    """Lets callers in, in order of arrival; every `enter` that returned None needs one `leave`."""

    def __init__(self, policy: BulkheadPolicy) -> None:
        self._bulkhead: Bulkhead[asyncio.Future[None]] = Bulkhead(policy)

    async def enter(self, *, until: float) -> Literal["full", "late"] | None:
        """Return None once inside; `full` where not even the queue has room, `late` when the time is up."""
        entry = self._bulkhead.enter()
        if entry is Entry.ENTERED:
            return None
        if entry is Entry.FULL:
            return "full"
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._bulkhead.wait(turn)
        try:
            async with asyncio.timeout_at(until):
                await turn
        except TimeoutError:
            self._forsake(turn)
            return "late"
        except BaseException:
            self._forsake(turn)
            raise
        return None

    def _forsake(self, turn: "asyncio.Future[None]") -> None:
        waiting = self._bulkhead.forsake(turn)
        if not waiting and not turn.cancelled():  # else whoever left has passed us over
            self.leave()  # the place was handed over at the very moment that we gave up

    def leave(self) -> None:
        """Hand the place to the next in the queue who still waits."""
        while (turn := self._bulkhead.leave()) is not None:
            if not turn.done():
                turn.set_result(None)
                return

    @property
    def in_flight(self) -> int:
        """How many are inside."""
        return self._bulkhead.in_flight

    @property
    def queued(self) -> int:
        """How many wait."""
        return self._bulkhead.queued

    @property
    def saturation(self) -> float:
        """The share of the places taken."""
        return self._bulkhead.saturation
