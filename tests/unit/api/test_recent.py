import msgspec
import pytest

from api.services import traces
from api.services.recent import Recent, text_frame
from tests.support.exchanges import connection, exchange


def filled(count, limit=1 << 20, **fields):
    kept = Recent(limit)
    for seq in range(1, count + 1):
        kept.add([exchange(seq=seq, **fields)])
    return kept


def test_pages_go_from_the_newest_to_the_oldest_without_holes_while_more_comes():
    kept = filled(10)
    seen, before, newest = [], None, 10
    while True:
        items, before = kept.page(before=before, limit=3, accept=None)
        seen += [event.seq for event in items]
        newest += 1
        kept.add([exchange(seq=newest)])
        if before is None:
            break
    assert seen == list(range(10, 0, -1))


def test_the_last_page_has_no_next_even_where_it_is_full():
    kept = filled(4)
    assert kept.page(before=None, limit=4, accept=None)[1] is None
    assert kept.page(before=None, limit=3, accept=None)[1] == 2


def test_a_page_holds_only_what_fits():
    kept = filled(3)
    kept.add([exchange(seq=4, status_code=503)])
    items, following = kept.page(before=None, limit=2, accept=lambda event: event.status_code == 503)
    assert ([event.seq for event in items], following) == ([4], None)


@pytest.mark.parametrize("target", ["/", "/" + "x" * 2_000])
def test_memory_stays_bounded_whatever_is_in_the_events(target):
    kept = filled(500, limit=100_000, target=target)
    assert kept.bytes <= 100_000
    assert kept.evicted + len(kept) == kept.added == 500
    assert kept.bytes == sum(entry.weight for entry in kept)


def test_frames_count_for_the_memory_and_are_made_once():
    kept = Recent(1 << 20)
    (entry,), _ = kept.add([exchange(seq=1)])
    before = kept.bytes
    frame = kept.frame(entry)
    assert kept.frame(entry) is frame
    assert kept.bytes == before + len(frame)


def test_an_event_bigger_than_the_memory_is_not_kept():
    kept = Recent(1_000)
    made, gone = kept.add([exchange(seq=1)])
    assert made == gone
    assert kept.bytes == len(kept) == 0


def test_connections_are_kept_alike():
    kept = Recent(1 << 20)
    kept.add([connection(seq=3)])
    assert kept.page(before=None, limit=5, accept=None)[0][0].seq == 3


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_are_those_of_the_protocol(size):
    from websockets.frames import Frame, Opcode

    payload = b"x" * size
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


def test_a_trace_is_put_together_oldest_first():
    kept = Recent(1 << 20)
    for seq, trace, service in ((1, "a", "shop"), (2, "b", "shop"), (3, "a", "orders")):
        kept.add([exchange(seq=seq, trace_id=trace, service=service)])
    found = traces.find(kept, "a")
    assert ([event.seq for event in found.exchanges], found.services, found.complete) == (
        [1, 3],
        ["orders", "shop"],
        True,
    )
    assert traces.find(kept, "c") is None
    assert msgspec.json.decode(msgspec.json.encode(found))["trace_id"] == "a"


def test_a_trace_too_long_for_one_answer_says_so():
    kept = filled(1_001, limit=1 << 24, trace_id="a")
    found = traces.find(kept, "a")
    assert (len(found.exchanges), found.complete) == (1_000, False)
