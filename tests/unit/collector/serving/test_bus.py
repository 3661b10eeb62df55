import threading

from collector.bus import Bus
from tests.support.exchanges import exchange


def events(count):
    return [exchange() for _ in range(count)]


def test_every_subscriber_gets_every_batch_in_order():
    bus = Bus()
    boxes = [bus.subscribe(name, limit=100) for name in "ab"]
    batches = [events(2), events(3)]
    for batch in batches:
        bus.publish(batch)
    assert [box.take() for box in boxes] == [batches, batches]
    assert bus.losses() == {}


def test_who_does_not_take_loses_the_oldest_and_it_is_counted():
    bus = Bus()
    box = bus.subscribe("api", limit=10)
    batches = [events(4) for _ in range(5)]
    for batch in batches:
        bus.publish(batch)
    assert box.waiting == 8
    assert bus.losses() == {"api_full": 12}
    assert box.take() == batches[3:]


def test_one_slow_subscriber_costs_the_others_nothing():
    bus = Bus()
    quick, slow = (bus.subscribe(name, limit=3) for name in ("quick", "slow"))
    for _ in range(5):
        bus.publish(events(2))
        assert len(quick.take()) == 1
    assert (quick.lost, slow.lost) == (0, 8)


def test_put_and_take_in_two_threads_balance():
    bus = Bus()
    box = bus.subscribe("api", limit=50)
    batch, rounds, taken = events(7), 20_000, 0
    sender = threading.Thread(target=lambda: [bus.publish(batch) for _ in range(rounds)])
    sender.start()
    while sender.is_alive():
        taken += sum(map(len, box.take()))
    taken += sum(map(len, box.take()))
    assert taken + box.lost == rounds * 7
    assert box.waiting == 0
