import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from api.routes.feed import unframed
from api.services.feed import FeedFull, FeedHub
from api.services.recent import Recent
from collector.domain import filters
from tests.support.exchanges import exchange

_ONE = 2_700  # bytes that one kept and encoded event weighs, roughly


def traced(seq, **fields):
    return exchange(seq=seq, **{"trace_id": f"{seq:032x}", **fields})


def hub(events=10, **more):
    log = Recent(_ONE * events)
    return FeedHub(log=log, epoch="00000000000000aa", max_clients=more.pop("clients", 10), **more)


def accept(text):
    return filters.predicate(filters.parse([text])) if text else None


def join(feed, text="", **more):
    return feed.join(text, accept(text), **more)


def received(feed, client, limit=1 << 20):
    frames = []
    while data := feed.take(client, limit):
        frames += [json.loads(text) for text in unframed(data)]
    return frames


def test_the_first_frame_says_where_the_feed_stands():
    feed = hub()
    feed.add([traced(1), traced(2)])
    (hello,) = received(feed, join(feed))
    assert hello == {
        "kind": "hello", "epoch": "00000000000000aa", "seq": 2, "resumed": False, "heartbeat_s": 20.0, "filter": "",
    }  # fmt: skip


def test_events_come_in_order_and_only_with_a_trace():
    feed = hub()
    client = join(feed)
    feed.add([traced(1), exchange(seq=2, trace_id=None), traced(3)])
    assert [frame["seq"] for frame in received(feed, client)[1:]] == [1, 3]
    found = feed.statistics()
    assert (found.traced, found.untraced, found.published, found.delivered) == (2, 1, 2, 2)


def test_a_filter_is_applied_by_the_server():
    feed = hub()
    client = join(feed, "severity=error")
    feed.add([traced(1), traced(2, status_code=503, outcome="http_error"), traced(3)])
    assert [frame["seq"] for frame in received(feed, client)[1:]] == [2]


def test_clients_with_one_filter_share_their_frames():
    feed = hub()
    clients = [join(feed) for _ in range(3)]
    for client in clients:
        received(feed, client)
    feed.add([traced(1), traced(2)])
    first, *others = [feed.take(client, 1 << 20) for client in clients]
    assert all(other is first for other in others)


def test_who_falls_behind_is_told_exactly_what_was_missed():
    feed = hub(events=4)
    client = join(feed)
    received(feed, client)
    for seq in range(1, 11):
        feed.add([traced(seq)])
    gap, *events = received(feed, client)
    assert gap["kind"] == "gap"
    assert gap["from"] == 1
    assert gap["to"] == gap["missed"]
    assert [event["seq"] for event in events] == list(range(gap["to"] + 1, 11))


def test_events_that_do_not_match_are_not_missed():
    feed = hub(events=4)
    client = join(feed, "status=503")
    received(feed, client)
    feed.add([traced(1, status_code=503)])
    for seq in range(2, 20):
        feed.add([traced(seq)])
    (gap,) = received(feed, client)
    assert (gap["missed"], gap["from"], gap["to"]) == (1, 1, 1)


def test_resuming_goes_on_behind_the_last_event():
    feed = hub()
    feed.add([traced(seq) for seq in (1, 2, 4)])
    hello, *events = received(feed, join(feed, after=2))
    assert hello["resumed"]
    assert [event["seq"] for event in events] == [4]


def test_resuming_from_the_beginning_counts_what_was_forgotten():
    feed = hub(events=4)
    for seq in range(1, 11):
        feed.add([traced(seq)])
    _, gap, *events = received(feed, join(feed, after=0))
    assert gap["missed"] == gap["to"] == events[0]["seq"] - 1


@pytest.mark.parametrize("text", ["", "status=200"])
def test_resuming_from_the_middle_does_not_guess_what_was_forgotten(text):
    feed = hub(events=4)
    for seq in range(1, 11):
        feed.add([traced(seq)])
    _, gap, *events = received(feed, join(feed, text, after=2))
    assert (gap["missed"], gap["from"], gap["to"]) == (None, 3, events[0]["seq"] - 1)


def test_a_cursor_of_another_run_is_said_to_be_unknown():
    feed = hub()
    feed.add([traced(1)])
    hello, gap = received(feed, join(feed, after=77, same_epoch=False))
    assert not hello["resumed"]
    assert gap == {"kind": "gap", "missed": None, "from": None, "to": 1}


def test_a_cursor_of_the_future_is_refused():
    feed = hub()
    feed.add([traced(1)])
    with pytest.raises(ValueError, match="newest is 1"):
        join(feed, after=2)


def test_a_heartbeat_comes_where_there_was_nothing_to_tell():
    feed = hub()
    client = join(feed)
    received(feed, client)
    feed.beat()
    assert received(feed, client) == [{"kind": "heartbeat", "seq": 0}]
    feed.beat()
    feed.add([traced(1)])
    assert [frame["kind"] for frame in received(feed, client)] == ["exchange"]


def test_no_more_clients_than_allowed():
    feed = hub(clients=1)
    client = join(feed)
    with pytest.raises(FeedFull):
        join(feed)
    feed.leave(client)
    join(feed)
    assert feed.statistics().refused == 1


def test_no_more_filters_than_allowed_and_they_go_with_their_last_client():
    feed = hub(max_filters=1)
    one = join(feed, "status=200")
    join(feed, "status=200")
    with pytest.raises(FeedFull):
        join(feed, "status=500")
    feed.leave(one)
    with pytest.raises(FeedFull):
        join(feed, "status=500")


def test_a_round_waits_longer_for_more_clients():
    feed = hub(clients=1000)
    assert feed.pause_s() == 0
    for _ in range(500):
        join(feed)
    assert 0.02 <= feed.pause_s() <= 0.05


def test_long_frames_have_long_lengths():
    feed = hub(events=100)
    client = join(feed)
    received(feed, client)
    feed.add([traced(1, target="/" + "a" * 70_000)])
    (event,) = received(feed, client)
    assert len(event["target"]) == 70_001


class Subscribers(RuleBasedStateMachine):
    """Whatever comes in whatever order: delivered + missed = published, in order, nothing twice."""

    clients = Bundle("clients")

    def __init__(self):
        super().__init__()
        self.feed = hub(events=6, clients=6)
        self.seq = 0
        self.published = {}
        self.got = {}

    @rule(target=clients, text=st.sampled_from(["", "status=503", "status!=503"]))
    def subscribe(self, text):
        try:
            client = join(self.feed, text)
        except FeedFull:
            return None
        self.published[client] = []
        self.got[client] = (0, 0, self.seq)
        return client

    @rule(statuses=st.lists(st.sampled_from([200, 503, None]), min_size=1, max_size=9))
    def publish(self, statuses):
        events = []
        for status in statuses:
            self.seq += 1
            events.append(traced(self.seq, status_code=status or 200, **({} if status else {"trace_id": None})))
        self.feed.add(events)
        for client, expected in self.published.items():
            fits = accept(client.group.text)
            expected += [event.seq for event in events if event.trace_id and (fits is None or fits(event))]

    @rule(client=clients, limit=st.sampled_from([1, 3_000, 1 << 20]))
    def read(self, client, limit):
        if client not in self.published:
            return
        delivered, missed, last = self.got[client]
        for text in unframed(self.feed.take(client, limit)):
            frame = json.loads(text)
            if frame["kind"] == "exchange":
                assert frame["seq"] > last
                delivered, last = delivered + 1, frame["seq"]
            elif frame["kind"] == "gap":
                assert frame["from"] == last + 1
                missed, last = missed + frame["missed"], frame["to"]
        self.got[client] = (delivered, missed, last)
        expected = self.published[client]
        read = delivered + missed
        assert read <= len(expected)
        if read:
            assert expected[read - 1] == last

    @rule(client=consumes(clients))
    def leave(self, client):
        if client in self.published:
            self.feed.leave(client)
            del self.published[client]

    @invariant()
    def every_read_to_the_end_balances(self):
        found = self.feed.statistics()
        assert found.clients == len(self.published)
        waiting = sum(client.group.total - max(client.index, client.group.first) for client in self.published)
        assert found.published == found.delivered + found.missed + waiting


TestSubscribers = Subscribers.TestCase
TestSubscribers.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
