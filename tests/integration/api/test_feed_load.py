"""Many subscribers of real traffic, some of which do not read: nobody healthy misses anything, every gap is exact."""

import os
import re
from pathlib import Path

import pytest

from tests.support.listeners import Listeners
from tests.support.serving import Frames, Service
from tests.support.steady import COMM, traffic

FULL = bool(os.environ.get("NETSCOPE_FULL"))
HEALTHY, STALLED, EVENTS_A_SECOND, SECONDS = (450, 50, 2_000, 16) if FULL else (45, 5, 500, 6)
KEPT_BYTES = (48 if FULL else 4) << 20  # less than what a stalled client would have to be kept for
HOST = "feed-load.test"


def resident_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


@pytest.fixture
def loaded():
    env = {"NETSCOPE_RECENT_BYTES": str(KEPT_BYTES), "NETSCOPE_REQUESTS_PER_MINUTE": "1000000"}
    with Service("--comm", COMM, env=env) as running:
        yield running


def test_stalled_clients_get_exact_gaps_and_healthy_ones_everything(loaded, tmp_path):
    with Listeners(tmp_path, loaded, healthy=HEALTHY, stalled=STALLED, path=f"/v1/feed?host={HOST}") as clients:
        before = resident_mib(loaded.process.pid)
        seconds = SECONDS if FULL else 2 * SECONDS  # long enough that the stalled ones must miss something
        with traffic(EVENTS_A_SECOND // 2, seconds, HOST) as running:
            running.wait()
            made = int(running.stdout.read().split()[0])
        loaded.until("/v1/losses", lambda found: found["feed"]["traced"] >= 2 * made)
        after = resident_mib(loaded.process.pid)
        clients.say("resume")
        report = clients.report()
        losses = loaded.until("/v1/losses", lambda found: all(one["difference"] == 0 for one in found["balance"]))
    found = report["clients"]
    assert all(one["open"] == 1 and one["disorder"] == 0 and one["unknown"] == 0 for one in found)
    assert {one["delivered"] + one["missed"] for one in found} == {2 * made}
    assert {one["missed"] for one in found[:HEALTHY]} == {0}
    assert all(one["missed"] > 0 and one["gaps"] >= 1 for one in found[HEALTHY:])
    feed = losses["feed"]
    assert feed["published"] == feed["delivered"] + feed["missed"] == len(found) * 2 * made
    assert feed["missed"] == sum(one["missed"] for one in found)
    assert after - before < 2 * KEPT_BYTES / (1 << 20) + 0.4 * len(found)


def test_resuming_after_a_broken_connection_loses_nothing(loaded):
    path = f"/v1/feed?host={HOST}"
    with traffic(100, 4, HOST) as running:
        seen, last, epoch = [], None, None
        while len(seen) < 600:
            resume = "" if last is None else f"&after={last}&epoch={epoch}"
            with Frames(loaded, path + resume) as feed:
                hello = feed.message()
                epoch = hello["epoch"]
                assert hello["resumed"] is (last is not None)
                for _ in range(97):
                    event = feed.message()
                    assert event["kind"] == "exchange"
                    seen.append(event["id"])
                    last = event["seq"]
        running.wait()
    assert len(set(seen)) == len(seen)
    page = loaded.json(f"/v1/exchanges?host={HOST}&limit=500")
    kept = {item["id"] for item in page["items"] if item["seq"] <= last}
    assert kept <= set(seen)


def test_every_event_has_a_trace_and_fits_the_filter(loaded):
    with Frames(loaded, "/v1/feed?role=server&route=/orders/{id}") as feed, traffic(50, 1, HOST):
        feed.message()
        for _ in range(40):
            event = feed.message()
            assert (event["role"], event["route"]) == ("server", "/orders/{id}")
            assert event["trace_id"]


def test_the_service_says_when_it_goes(loaded):
    with Frames(loaded, "/v1/feed?host=nobody") as feed:
        feed.message()
        assert loaded.stop() == 0
        assert feed.close_code() == 1012
    assert loaded.logged("ended")
