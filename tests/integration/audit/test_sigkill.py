"""SIGKILL at random moments, against an oracle outside: what was acknowledged is archived exactly once."""

import os
import random
import signal
import time

import msgspec
import pytest

from collector.audit.archive import Archive
from collector.audit.settings import StoreSettings
from tests.support import rgw
from tests.support.audit_events import exchange
from tests.support.audit_oracle import Driven, Ledger, archived_in_bucket, archived_in_folder, judge

FULL = os.environ.get("NETSCOPE_FULL") == "1"
KILLS = int(os.environ.get("KILLS", "1000" if FULL else "300"))


def campaign(settings, kills, *, seed, environment=rgw.ENVIRONMENT):
    """Run and kill; end with one run that may finish. The moments come from the seed."""
    moments = random.Random(seed)
    ledger = Ledger()
    for number in range(kills):
        run = Driven(
            ledger, settings, f"k{number}", environment=environment, rate=moments.choice((1000, 20_000)), group=25
        )
        time.sleep(moments.uniform(0.0, 0.3) if moments.random() < 0.6 else moments.uniform(0.3, 0.9))
        run.kill(shipper=moments.random() < 0.5)
    last = Driven(
        ledger, settings, "last", environment=environment, count=100, close_s=500
    )  # what all the runs left behind goes to the archive, too
    assert last.wait(520) == 0, b"".join(last.errors)[-2000:]
    assert last.closed["done"]
    return ledger


@pytest.mark.timeout(1800)
def test_killed_at_random_moments_with_a_real_gateway(gateway, bucket_name, settings, capsys):
    began = time.monotonic()
    gateway.bucket(bucket_name)
    wanted = settings(gateway.settings(bucket_name), queue_events=2000, segment_bytes=200_000)  # tens a second, at most
    ledger = campaign(wanted, KILLS, seed=20261121)
    lines, _, versions = archived_in_bucket(gateway.client(), bucket_name)
    found = judge(ledger, lines, versions)
    with capsys.disabled():
        print(
            f"\n{KILLS} kills in {time.monotonic() - began:.0f} s: {found}; none lost bounds the rate by {3 / KILLS:.4f}"
        )
    assert found.sound
    assert found.acknowledged > KILLS


@pytest.mark.timeout(600)
def test_killed_at_random_moments_with_a_directory(tmp_path, settings, capsys):
    ledger = campaign(settings(StoreSettings(directory=str(tmp_path / "archive"))), 200 if FULL else 8, seed=7)
    found = judge(ledger, *archived_in_folder(tmp_path / "archive")[::2])
    with capsys.disabled():
        print(f"\n{found}")
    assert found.sound


@pytest.mark.parametrize("encoded", [False, True], ids=["events", "lines"])
def test_what_a_shipper_started_again_does_is_not_archived(tmp_path, settings, encoded):
    told = []
    wanted = settings(StoreSettings(directory=str(tmp_path / "archive")))
    with Archive.open(wanted, told.extend) as archive:
        first = archive.pids[0]
        archive.start()
        os.kill(first, signal.SIGKILL)
        ends = time.monotonic() + 20
        while archive.pids[0] == first:
            assert time.monotonic() < ends, archive.health()
            time.sleep(0.05)
        events = [msgspec.structs.replace(exchange(n), pid=archive.pids[0] if n % 2 else 1) for n in range(6)]
        lines = [msgspec.json.encode(event) for event in events] if encoded else None
        assert archive.append(events, lines) == 3
        assert archive.close(30)
    assert [event.seq for event in told] == [0, 2, 4]
    stored = archived_in_folder(tmp_path / "archive")[0]
    assert sorted(line["id"] for line in stored) == ["r-0", "r-2", "r-4"]
