"""When the ring is read: rarely while nobody waits, but before it fills, and soon where somebody follows the feed."""

import os
import time

from tests.support.serving import Frames, Service
from tests.support.sockets import exchange, request, response, tcp_pair, trace_id

NEVER = {"NETSCOPE_SERVE_INTERVAL_MS": "600000"}  # as far as a test can tell


def test_a_ring_that_fills_is_read_at_once():
    """Ten times what the ring holds passes at 10 MB/s, and nothing is lost, though its next reading is far away."""
    ring, answer = 1 << 20, response(body=b"x" * 8000)
    ended = 10 * ring // len(answer)
    with Service("--pid", os.getpid(), env={**NEVER, "NETSCOPE_RING_SIZE": str(ring)}) as running, tcp_pair() as pair:
        for _ in range(ended):
            exchange(*pair, request("/filling", trace=trace_id()), answer)
            time.sleep(0.001)
        losses = running.until("/v1/losses", lambda found: sum(found["exchanges"].values()) > ended)
        assert running.stop() == 0
        summary = running.logged("ended")[0]
    assert losses["total"] == 0
    assert summary["lost"] == {}
    assert summary["exchanges"]["server"] >= ended


def test_who_follows_the_feed_does_not_wait():
    with (
        Service("--pid", os.getpid(), env=NEVER) as running,
        tcp_pair() as pair,
        Frames(running, "/v1/feed?route=/followed") as feed,
    ):
        assert feed.message()["kind"] == "hello"
        trace = trace_id()
        exchange(*pair, request("/followed", trace=trace), response())
        assert feed.event()["trace_id"] == trace
