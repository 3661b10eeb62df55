"""The thread that serves, on a real socket: start, take, end, and what happens where it cannot."""

import http.client
import socket
import time
from collections import deque

import pytest

from api.server import ApiThread
from api.services.feed import FeedHub
from api.services.invariants import InvariantLedger
from api.services.recent import Recent
from api.state import Access, AppState, Clocks, Limits
from collector.bus import Bus
from tests.support.exchanges import connection, exchange
from tests.unit.api.test_services import status


class Observer:
    def status(self):
        return status(at_ns=time.monotonic_ns())

    def open_connections(self, accept, limit):
        return []


@pytest.fixture
def logged():
    return []


@pytest.fixture
def state(logged):
    exchanges = Recent(1 << 20)
    return AppState(
        release="0", epoch="0" * 16, started_ns=0, observer=Observer(), bus=Bus(), metrics=None, audit=None,
        clocks=Clocks(monotonic_ns=time.monotonic_ns, wall_ns=time.time_ns), exchanges=exchanges,
        connections=Recent(1 << 20), hub=FeedHub(log=exchanges, epoch="0" * 16, max_clients=4),
        invariants=InvariantLedger(), limits=Limits(), access=Access(),
        log=lambda *what, **fields: logged.append((*what, fields)),
    )  # fmt: skip


def listener():
    return socket.create_server(("127.0.0.1", 0))


def taken(batches):
    found = list(batches)
    batches.clear()
    return found


def asked(port, path):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client.request("GET", path)
    answer = client.getresponse()
    body = answer.read()
    client.close()
    return answer.status, body


def test_what_is_published_reaches_memory_and_what_waits_at_the_end_does_too(state):
    batches = deque([[exchange(seq=1), connection(seq=2)]])
    sock = listener()
    port = sock.getsockname()[1]
    api = ApiThread(state, sock, lambda: taken(batches))
    api.start()
    assert asked(port, "/health/live")[0] == 200
    api.wake()
    deadline = time.monotonic() + 10
    while not len(state.connections) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (len(state.exchanges), len(state.connections)) == (1, 1)
    batches.append([exchange(seq=3)])
    api.stop()
    assert [entry.event.seq for entry in state.exchanges][-1] == 3
    assert not api.alive
    assert api.problem is None


def test_where_it_cannot_serve_it_says_so(state, logged):
    sock = listener()
    sock.close()
    api = ApiThread(state, sock, list)
    with pytest.raises(RuntimeError, match="did not start"):
        api.start()
    assert api.problem is not None
    assert [event for _, event, _ in logged] == ["api_failed"]


def test_waking_a_server_that_has_ended_is_no_error(state):
    api = ApiThread(state, listener(), list)
    api.start()
    api.stop()
    api.wake()
    api.stop()
