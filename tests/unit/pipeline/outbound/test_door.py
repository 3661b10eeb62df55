"""The door: whoever gives up waiting takes no place along, at whatever moment."""

import asyncio

from pipeline.outbound.bulkhead import BulkheadPolicy
from pipeline.outbound.door import Door

FAR = 1e9


async def test_who_gives_up_while_a_place_becomes_free_leaves_it_to_the_next() -> None:
    door = Door(BulkheadPolicy(max_in_flight=1, max_queued=2))
    assert await door.enter(until=FAR) is None
    impatient = asyncio.create_task(door.enter(until=FAR))
    patient = asyncio.create_task(door.enter(until=FAR))
    await asyncio.sleep(0)
    impatient.cancel()
    door.leave()  # before the one that gives up has run
    assert await patient is None
    assert (door.in_flight, door.queued) == (1, 0)
    door.leave()
    assert door.in_flight == 0


async def test_who_gives_up_with_a_place_already_handed_over_passes_it_on() -> None:
    door = Door(BulkheadPolicy(max_in_flight=1, max_queued=2))
    assert await door.enter(until=FAR) is None
    impatient = asyncio.create_task(door.enter(until=FAR))
    patient = asyncio.create_task(door.enter(until=FAR))
    await asyncio.sleep(0)
    door.leave()
    impatient.cancel()
    assert await patient is None
    assert (door.in_flight, door.queued) == (1, 0)
