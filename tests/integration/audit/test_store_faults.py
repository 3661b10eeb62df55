"""The gateway goes away, hangs, dies, is full, refuses: nothing is lost, nothing is there twice, capture does not notice."""

import hashlib
import itertools
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from collector.audit.errors import StoreProblem
from collector.audit.stores.opening import open_store
from tests.support import rgw
from tests.support.audit_oracle import Driven, Ledger, archived_in_bucket, doubled, judge, spool_backlog

FULL = os.environ.get("NETSCOPE_FULL") == "1"
RATE = 2000


def hang(gateway):
    gateway.call("sig", "rgw", "STOP")
    return lambda: gateway.call("sig", "rgw", "CONT")


def die(gateway):
    gateway.call("sig", "rgw", "KILL")
    return lambda: gateway.call("respawn", "rgw")


def osd_stops(gateway):
    gateway.call("sig", "osd", "STOP")
    return lambda: gateway.call("sig", "osd", "CONT")


def suspended(gateway):
    gateway.call("admin", "user", "suspend", "--uid=netscope")
    return lambda: gateway.call("admin", "user", "enable", "--uid=netscope")


def revoked(gateway):
    gateway.call("admin", "key", "rm", "--uid=netscope", f"--access-key={rgw.ACCESS}")
    return lambda: gateway.call(
        "admin", "key", "create", "--uid=netscope", f"--access-key={rgw.ACCESS}", f"--secret-key={rgw.SECRET}"
    )


def quota(gateway):
    gateway.call("admin", "quota", "set", "--quota-scope=user", "--uid=netscope", "--max-size=4096")
    gateway.call("admin", "quota", "enable", "--quota-scope=user", "--uid=netscope")
    return lambda: gateway.call("admin", "quota", "disable", "--quota-scope=user", "--uid=netscope")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("locks", [False, True], ids=["plain", "locked"])
def test_every_fault_of_the_gateway(own_gateway, settings, locks, capsys):
    own_gateway.bucket("audit", locks=locks)
    wanted = settings(
        own_gateway.settings("audit", connect_timeout_s=1.0, read_timeout_s=1.0),
        segment_bytes=200_000,
        retry_seconds=0.5,
    )
    ledger = Ledger()
    run = Driven(ledger, wanted, "f", environment=rgw.ENVIRONMENT, rate=RATE, group=20, close_s=60)
    heard, told = 0, {}
    faults = (hang, die, osd_stops, suspended, revoked, quota)
    for fault in (
        faults if FULL or not locks else faults[:2]
    ):  # where versions are kept, what matters is what is repeated
        time.sleep(0.3)
        mend = fault(own_gateway)
        heard = run.says("store refuses", after=heard, within=30)
        told[fault.__name__] = json.loads(run.errors[heard - 1])["problem"][-70:]
        time.sleep(0.3)
        assert run.process.poll() is None
        mend()
        heard = run.says("store accepts again", after=heard, within=30)
    assert run.finish() == 0, b"".join(run.errors)[-2000:]
    lines, _, versions = archived_in_bucket(own_gateway.client(), "audit")
    found = judge(ledger, lines, versions)
    with capsys.disabled():
        print(f"\n{json.dumps(told, indent=1)}\n{run.closed}\n{found}")
    assert found.sound, (doubled(own_gateway.client(), "audit"), b"".join(run.errors).decode())
    assert found.issued == found.acknowledged == found.archived
    assert run.closed["lost"] == {}


@pytest.mark.timeout(1200)
def test_a_version_without_its_link_is_not_taken_for_missing(own_gateway, capsys):
    """A gateway killed in the middle of a put says 404 once although the version is there: it must not be put again."""
    own_gateway.bucket("audit", locks=True)
    store = open_store(own_gateway.settings("audit", connect_timeout_s=1.0, read_timeout_s=1.0), rgw.ENVIRONMENT)
    asked = own_gateway.client()
    cut_off, there = 0, 0
    for kill in range(200 if FULL else 12):
        keys = put_until_killed(own_gateway, store, f"k{kill}")
        own_gateway.call("respawn", "rgw")
        for key in keys:
            listed = asked.list_object_versions(Bucket="audit", Prefix=key).get("Versions", [])
            assert (store.head(key) is not None) == bool(listed), key
            cut_off, there = cut_off + 1, there + len(listed)
    with capsys.disabled():
        print(f"\n{cut_off} puts cut off, {there} of them are there, and seen")
    assert cut_off


def put_until_killed(gateway, store, name):
    """Put objects from four threads until the gateway is killed; return the names of those that were cut off."""

    def put(thread):
        for number in itertools.count():
            key, body = f"{name}-{thread}-{number}", b"x" * 2000
            try:
                store.put(key, body, md5=hashlib.md5(body).digest(), about={})
            except StoreProblem:
                return key
            begun.set()
        raise AssertionError

    begun = threading.Event()
    with ThreadPoolExecutor(4) as threads:
        putting = [threads.submit(put, thread) for thread in range(4)]
        assert begun.wait(30)
        gateway.call("sig", "rgw", "KILL")
        return [one.result() for one in putting]


@pytest.mark.timeout(3000)
def test_a_long_outage(own_gateway, settings, capsys):
    outage = int(os.environ.get("OUTAGE", "1200" if FULL else "8"))
    own_gateway.bucket("audit")
    wanted = settings(
        own_gateway.settings("audit", connect_timeout_s=1.0, read_timeout_s=2.0),
        segment_bytes=1 << 22,  # as in the default settings
        spool_bytes=1 << 32,
    )
    ledger = Ledger()
    run = Driven(ledger, wanted, "o", environment=rgw.ENVIRONMENT, rate=RATE, group=20, close_s=60)
    time.sleep(2)
    before = memory(run.shipper)
    own_gateway.call("sig", "rgw", "KILL")
    began, waited = time.monotonic(), len(ledger.acknowledged)
    time.sleep(outage / 2)
    middle = memory(run.shipper)
    time.sleep(outage / 2)
    waited = len(ledger.acknowledged) - waited
    after = memory(run.shipper)
    own_gateway.call("respawn", "rgw")
    outage, drained = time.monotonic() - began, time.monotonic()
    while spool_backlog(wanted.spool) > 1:
        assert time.monotonic() - drained < 300
        time.sleep(0.05)
    drained = time.monotonic() - drained
    assert run.finish() == 0
    lines, _, versions = archived_in_bucket(own_gateway.client(), "audit")
    found = judge(ledger, lines, versions)
    with capsys.disabled():
        print(
            f"\noutage of {outage:.0f} s, {waited} events waited, drained in {drained:.2f} s: "
            f"{waited / drained / RATE:.0f} times real time; shipper's RSS {before} {middle} {after} KiB\n{run.closed}\n{found}"
        )
    assert found.sound
    assert found.issued == found.acknowledged == found.archived
    assert after - middle < 4096
    if outage > 100:  # a short one is mostly the pause before the next attempt; tests/bench/audit has the figure
        assert waited / drained / RATE >= 10


def memory(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
