"""A ring far too small: what is lost is counted twice, independently, and the totals stay exact (adversarial case 44)."""

import time
from collections import Counter

from tests.support.sockets import exchange, request, response, tcp_pair
from tests.support.watching import PATIENCE


def test_tiny_ring_under_load(watch):
    count = 3000
    watching = watch("--include-connections", env={"NETSCOPE_RING_SIZE": "4096"})
    with tcp_pair() as (client, server):
        for number in range(count):
            exchange(client, server, request(f"/{number}"), response())
    watching.stop()
    summary = watching.summary
    records = summary["records"]
    lost = summary["lost"].get("kernel", {})
    by_reason = lost.get("ring_full_moved", 0) + lost.get("ring_full_changed", 0)
    assert by_reason > 0, "the ring was not too small"
    assert records["lost"] == by_reason, "numbering and counters disagree"
    assert records["captured"] == records["decoded"] + records["lost"]
    sent = sum(len(request(f"/{number}")) for number in range(count))
    received = count * len(response())
    assert summary["kernel"]["bytes_sent"] == sent + received  # both ends are ours
    assert summary["kernel"]["bytes_received"] == sent + received
    assert summary["kernel"]["exchanges"] == 2 * count
    for connection in watching.connections():
        assert connection["kernel_exchanges"] == count
        assert {connection["bytes_sent"], connection["bytes_received"]} == {sent, received}
    for event in watching.exchanges():  # what was seen is right, whatever was lost around it
        if event["outcome"] == "ok":
            assert event["status_code"] == 200
            assert event["target"].removeprefix("/").isdigit()


def test_connections_whose_end_was_lost_are_swept_while_the_watch_goes_on(watch, tmp_path):
    output = tmp_path / "told"
    watching = watch("--include-connections", env={"NETSCOPE_RING_SIZE": "4096"}, output=output)
    for number in range(300):
        with tcp_pair() as (client, server):
            exchange(client, server, request(f"/{number}"), response())
    deadline = time.monotonic() + 5 * PATIENCE
    while (told := output.read_bytes().count(b'"kind":"connection"')) < 600 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert told == 600, "every connection has its end while the watch goes on"
    watching.stop()
    assert watching.summary["lost"]["kernel"]["ring_full_changed"] > 0
    assert [name for name, times in Counter(event["id"] for event in watching.connections()).items() if times > 1] == []
    assert [event for event in watching.connections() if not event["outcome"] or event["kernel_exchanges"] != 1] == []
    assert len(watching.connections()) == 600


def test_default_ring_loses_nothing_and_totals_balance(watch):
    watching = watch()
    with tcp_pair() as (client, server):
        for number in range(2000):
            exchange(client, server, request(f"/{number}"), response())
    watching.stop()
    assert watching.lost() == {}
    assert watching.summary["exchanges"] == {"client": 2000, "server": 2000}
    assert watching.summary["records"]["captured"] == watching.summary["records"]["decoded"]
    assert watching.summary["kernel"]["exchanges"] == 4000
    assert [e["seq"] for e in watching.exchanges()] == list(range(1, 4001))
    assert len({e["id"] for e in watching.exchanges()}) == 4000
