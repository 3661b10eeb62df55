"""The reader that serves /v1/audit: whole lines, the very interval, one clear error before anything is answered."""

import json
from pathlib import Path

import pytest

from collector.audit.reader import ArchiveReader
from collector.audit.settings import StoreSettings
from collector.audit.stores.opening import open_store
from collector.domain.ports import ArchiveUnavailable, AuditQuery
from tests.support import rgw
from tests.support.audit_archive import fill

ALL = AuditQuery(since="2020-01-01T00:00:00Z", until="2100-01-01T00:00:00Z")


@pytest.fixture(params=["directory", "bucket"])
def reader(request, tmp_path):
    if request.param == "directory":
        settings, environment = StoreSettings(directory=str(tmp_path / "archive")), {}
        Path(settings.directory).mkdir()
    else:
        gateway = request.getfixturevalue("gateway")
        settings, environment = gateway.settings(gateway.bucket("served")), rgw.ENVIRONMENT
        client = gateway.client()
        for one in client.list_objects_v2(Bucket="served").get("Contents", ()):
            client.delete_object(Bucket="served", Key=one["Key"])
    fill(tmp_path / "spool", open_store(settings, environment), hours=(10, 0, 5))
    return ArchiveReader(settings, environment)


def test_everything_and_one_service(reader):
    blocks = list(reader.read(ALL))
    assert all(block.endswith(b"\n") for block in blocks)
    lines = [json.loads(line) for block in blocks for line in block.splitlines()]
    assert sorted(line["audit_seq"] for line in lines) == list(range(1, 16))
    one = AuditQuery(since=ALL.since, until=ALL.until, service="s1")
    assert {json.loads(line)["service"] for block in reader.read(one) for line in block.splitlines()} == {"s1"}


def test_whoever_asked_may_go_away(reader):
    answer = reader.read(ALL)
    assert next(answer)
    answer.close()


def test_an_interval_without_events_is_empty(reader):
    assert list(reader.read(AuditQuery(since="2030-01-01T00:00:00Z", until="2031-01-01T00:00:00Z"))) == []


@pytest.mark.parametrize(
    ("settings", "since", "said"),
    [
        (StoreSettings(endpoint="http://127.0.0.1:9", connect_timeout_s=1), ALL.since, "connect"),
        (StoreSettings(endpoint="http://127.0.0.1:9", credentials="/nonexistent"), ALL.since, "cannot be read"),
        (StoreSettings(directory="/nonexistent"), "yesterday", "no time"),
    ],
)
def test_what_cannot_be_read_is_said_before_the_first_block(settings, since, said):
    with pytest.raises(ArchiveUnavailable, match=said):
        next(ArchiveReader(settings, rgw.ENVIRONMENT).read(AuditQuery(since=since, until=ALL.until)), b"")
