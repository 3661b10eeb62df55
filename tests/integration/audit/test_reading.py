"""Reading back from real buckets: over HTTPS, from versioned and locked ones; one hour and one service out of many."""

import json
import os
import subprocess
import sys

import pytest
from botocore.exceptions import ClientError

from collector.audit.errors import ArchiveNotSound
from collector.audit.reading import Interval, blocks, objects
from collector.audit.spool import HOUR_NS
from collector.audit.stamps import normalised, rfc3339
from collector.audit.stores.opening import open_store
from collector.audit.verifying import Verifier
from tests.support import rgw
from tests.support.audit_archive import HOUR, MemoryStore, fill, key_pair
from tests.support.audit_events import exchange

FULL = os.environ.get("NETSCOPE_FULL") == "1"


class Counting:
    """A store that notes what is read."""

    def __init__(self, store):
        self.store, self.read, self.asked = store, [], []

    def get(self, key):
        self.read.append(key)
        return self.store.get(key)

    def listed(self, prefix):
        self.asked.append(prefix)
        return self.store.listed(prefix)

    def folders(self, prefix):
        return self.store.folders(prefix)


@pytest.mark.parametrize("bucket_kind", ["plain", "versioned", "locked"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_every_kind_of_bucket(gateway, tmp_path, bucket_kind, secure):
    """Archive, verify, archive the same again: no second version, no second object."""
    bucket = gateway.bucket(
        f"{bucket_kind}-{secure}".lower(), versions=bucket_kind == "versioned", locks=bucket_kind == "locked"
    )
    endpoint = {"endpoint": gateway.secure_endpoint, "authorities": gateway.authorities} if secure else {}
    store = open_store(gateway.settings(bucket, retain_days=1, **endpoint), rgw.ENVIRONMENT)
    assert store.refuses_overwriting == (bucket_kind == "plain")
    private, public = key_pair(tmp_path)
    fill(tmp_path / "spool", store, hours=(5, 0, 3), key=private.read_bytes())
    report = Verifier(store, keys=[public.read_bytes()]).run()
    assert not report.findings
    assert not report.pending
    assert (report.events, report.manifests, report.signed) == (8, 3, 3)
    client = gateway.client()
    versions = client.list_object_versions(Bucket=bucket)["Versions"]
    assert len(versions) == len({one["Key"] for one in versions})
    if bucket_kind == "locked":
        one = next(one for one in versions if "/service=" in one["Key"])
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


@pytest.mark.timeout(900)
def test_one_hour_of_one_service_reads_only_that(tmp_path):
    """Out of a million events (a tenth of that on CI), 25 hours and 4 services."""
    import msgspec

    from collector.audit.frames import Frame
    from collector.audit.packing import Packer

    total = 1_000_000 if FULL else 100_000
    store, wanted, hour = MemoryStore(), set(), HOUR + 7
    encode = msgspec.json.Encoder().encode
    for at in range(0, total, 10_000):
        packer = Packer("ab" * 8, "zstd", hour=HOUR, first=at + 1, cut=None)
        records = []
        for number in range(at, at + 10_000):
            wall = HOUR * HOUR_NS + number * 25 * HOUR_NS // total
            event = exchange(number, service=f"s{number % 4}", started_at=rfc3339(wall))
            if wall // HOUR_NS == hour and number % 4 == 2:
                wanted.add(event.id)
            line = b'{"audit_version":"1.0","writer":"abababababababab","audit_seq":%d,%s' % (
                number + 1,
                encode(event)[1:],
            )
            records.append(Frame(number + 1, line))
        packer.add(records)
        for item in packer.finish().objects:
            store.put(item.key, item.body, md5=item.md5, about={})
    counting = Counting(store)
    asked = Interval(
        since=normalised(rfc3339(hour * HOUR_NS)), until=normalised(rfc3339((hour + 1) * HOUR_NS)), service="s2"
    )
    found = [
        json.loads(line) for block in blocks(counting, asked, objects(counting, asked)) for line in block.splitlines()
    ]
    assert {one["id"] for one in found} == wanted
    assert len(found) == len(wanted) == total // 100
    place = f"audit/v1/service=s2/date={rfc3339(hour * HOUR_NS)[:10]}/hour={rfc3339(hour * HOUR_NS)[11:13]}/"
    assert counting.asked == [place]
    assert all(key.startswith(place) for key in counting.read)


def test_the_ends_of_an_interval_are_exact():
    store = MemoryStore()
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), store, hours=(10, 10))
    lines = sorted(
        (
            json.loads(line)
            for block in blocks(store, Interval(), objects(store, Interval()))
            for line in block.splitlines()
        ),
        key=lambda one: one["audit_seq"],
    )
    since, until = lines[3]["started_at"], lines[12]["started_at"]
    asked = Interval(since=since, until=until)
    found = [json.loads(line) for block in blocks(store, asked, objects(store, asked)) for line in block.splitlines()]
    assert sorted(one["audit_seq"] for one in found) == [one["audit_seq"] for one in lines[3:12]]


def test_a_changed_object_is_not_replayed_as_if_it_were_sound():
    store = MemoryStore()
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), store, hours=(4,))
    key = next(key for key in store.objects if "/service=s0/" in key)
    other = next(key for key in store.objects if "/service=s1/" in key)
    store.objects[key] = store.objects[other]
    with pytest.raises(ArchiveNotSound, match="its lines are not those"):
        list(blocks(store, Interval(service="s0"), objects(store, Interval(service="s0"))))


def test_the_command_line_on_a_bucket(gateway, tmp_path):
    bucket = gateway.bucket("commands")
    fill(tmp_path / "spool", open_store(gateway.settings(bucket), rgw.ENVIRONMENT), hours=(6, 4))
    environment = {
        **os.environ, **rgw.ENVIRONMENT, "NETSCOPE_AUDIT_S3_ENDPOINT": gateway.endpoint, "NETSCOPE_AUDIT_S3_BUCKET": bucket,
    }  # fmt: skip

    def collector(*words):
        return subprocess.run(
            [sys.executable, "-m", "collector", "audit", *words], env=environment, capture_output=True, text=True,
            cwd=tmp_path, check=False,
        )  # fmt: skip

    assert len(collector("replay").stdout.splitlines()) == 10
    assert len(collector("replay", "--service", "s1").stdout.splitlines()) == 5
    assert "pending" in collector("verify").stderr
    assert collector("verify", "--strict").returncode == 0
    rows = collector(
        "sql", "--json", "SELECT service, count(*) AS n FROM events GROUP BY 1 ORDER BY 1"
    ).stdout.splitlines()
    assert [json.loads(row) for row in rows] == [{"service": "s0", "n": 5}, {"service": "s1", "n": 5}]
    assert "netscope_http_client_requests_total{" in collector("replay", "--metrics").stdout
    client = gateway.client()
    key = next(one["Key"] for one in client.list_objects_v2(Bucket=bucket)["Contents"] if "/service=" in one["Key"])
    client.put_object(Bucket=bucket, Key=key, Body=b"something else")
    said = collector("verify")
    assert said.returncode == 1
    assert "NOT SOUND" in said.stdout
