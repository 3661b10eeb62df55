"""What people and disks get wrong: one clear line with the fix, nothing deleted that was not verified."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from collector.audit import frames
from collector.audit.archive import Archive
from collector.audit.errors import AuditProblem
from collector.audit.settings import StoreSettings
from collector.audit.spool_files import SpoolFiles
from tests.support import rgw
from tests.support.audit_archive import MemoryStore, fill, key_pair
from tests.support.audit_events import exchange
from tests.support.audit_oracle import Driven, Ledger, archived_in_bucket, archived_in_folder


def problem_of(archive, within=30.0):
    """Return problem and fix as soon as there are any."""
    ends = time.monotonic() + within
    while time.monotonic() < ends:
        status = archive.health().shipper
        if status.get("problem"):
            return f"{status['problem']} | {status['fix']}"
        time.sleep(0.02)
    raise AssertionError(f"no problem: {archive.health()}")


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"bucket": "nothing-there"}, ("NoSuchBucket", "make the bucket")),
        ({"endpoint": "http://127.0.0.1:9"}, ("connect", "audit_s3_endpoint")),
        ({"secret": "wrong"}, ("SignatureDoesNotMatch", "audit_s3_credentials")),
        ({"access": "wrong"}, ("InvalidAccessKeyId", "audit_s3_credentials")),
        ({"plain_tls": True}, ("SSL", "audit_s3_authorities")),
    ],
    ids=["bucket", "endpoint", "secret", "key", "certificate"],
)
def test_a_wrong_setting_is_named_with_its_fix(gateway, tmp_path, settings, wrong, expected):
    gateway.bucket("wrong-settings")
    file = tmp_path / "credentials"
    file.write_text(
        f"[default]\naws_access_key_id = {wrong.get('access', rgw.ACCESS)}\n"
        f"aws_secret_access_key = {wrong.get('secret', rgw.SECRET)}\n"
    )
    file.chmod(0o600)
    store = gateway.settings(wrong.get("bucket", "wrong-settings"), credentials=str(file))
    if "endpoint" in wrong:
        store = replace(store, endpoint=wrong["endpoint"])
    if "plain_tls" in wrong:
        store = replace(store, endpoint=gateway.secure_endpoint)
    archive = Archive.open(settings(store)).start()
    archive.append([exchange(n) for n in range(5)])
    shown = problem_of(archive)
    archive.close(0.5)
    assert all(part in shown for part in expected), shown
    assert rgw.SECRET not in shown


def test_a_wrong_clock(gateway, settings):
    """The gateway refuses requests of another time; nothing is lost, and the fix is named."""
    gateway.bucket("clock")
    wanted = settings(gateway.settings("clock"))
    run = Driven(
        Ledger(),
        wanted,
        "c",
        environment=rgw.ENVIRONMENT,
        rate=200,
        group=10,
        close_s=0.5,
        before=["faketime", "-f", "-2d"],
    )
    line = run.errors[run.says("store refuses", within=40) - 1].decode()
    run.finish()
    assert "RequestTimeTooSkewed" in line
    assert "set this host's clock" in line
    again = Driven(Ledger(), wanted, "d", environment=rgw.ENVIRONMENT, count=10, group=10, close_s=40)
    assert again.wait(60) == 0
    ids = {one["id"] for one in archived_in_bucket(gateway.client(), "clock")[0]}
    assert set(run.ledger.acknowledged) <= ids


@pytest.mark.parametrize("mode", [0o644, None])
def test_credentials_that_everybody_reads_or_that_are_missing(tmp_path, settings, mode):
    file = tmp_path / "credentials"
    if mode is not None:
        file.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
        file.chmod(mode)
    archive = Archive.open(settings(StoreSettings(endpoint="http://127.0.0.1:9", credentials=str(file)))).start()
    shown = problem_of(archive)
    archive.close(0.5)
    assert ("chmod 640" if mode else "cannot be read") in shown


def test_two_collectors_on_one_spool(tmp_path, settings):
    wanted = settings(StoreSettings(directory=str(tmp_path / "archive")))
    with Archive.open(wanted).start(), pytest.raises(AuditProblem, match="another collector works on the spool"):
        Archive.open(wanted).start()


def test_a_spool_that_cannot_be_used(tmp_path, settings):
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditProblem, match="cannot be used"):
        Archive.open(settings(StoreSettings(directory=str(tmp_path)), spool=str(tmp_path / "file/spool")))


def test_a_segment_of_an_older_format_is_set_aside(tmp_path, settings):
    wanted = settings(StoreSettings(directory=str(tmp_path / "archive")))
    files = SpoolFiles(Path(wanted.spool))
    files.make()
    header = frames.Header(number=1, first_seq=1, hour=498_700, writer=b"12345678").encode()
    old = bytearray(header + frames.frames(1, [b"{}"]))
    old[7] = 0  # the version
    old[36:40] = frames._CRC.pack(frames.crc32c(bytes(old[:36])))
    path = files.path_of(1, 498_700, sealed=True)
    path.write_bytes(old)
    with Archive.open(wanted).start() as archive:
        archive.append([exchange(n) for n in range(3)])
    assert [one.read_bytes() for one in files.quarantine.iterdir()] == [bytes(old)]
    assert len(archived_in_folder(tmp_path / "archive")[0]) == 3


def test_a_damaged_segment_is_told_in_the_archive_and_kept(tmp_path):
    store = MemoryStore()
    from collector.audit.spool import HOUR_NS, Spool
    from tests.support.audit_archive import lines_of

    files = SpoolFiles(tmp_path / "spool")
    files.make()
    spool = Spool(files, segment_bytes=1 << 20, segment_ns=10**18)
    spool.write(lines_of(spool, [exchange(n) for n in range(10)]), wall_ns=498_700 * HOUR_NS, now_ns=0)
    spool.close()
    (path,) = files.segments.iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    private, public = key_pair(tmp_path)
    fill(tmp_path / "spool", store, hours=(2,), key=private.read_bytes())
    import json

    from collector.audit.reading import Interval, blocks, objects
    from collector.audit.verifying import Verifier

    found = [
        json.loads(line)
        for block in blocks(store, Interval(), objects(store, Interval()))
        for line in block.splitlines()
    ]
    assert [(one["reason"], one["count"]) for one in found if one["kind"] == "loss"] == [("damaged", 1)]
    assert len(found) == 12
    report = Verifier(store, keys=[public.read_bytes()]).run()
    assert not report.findings
    assert report.damaged == 1
    assert [one.name for one in files.quarantine.iterdir()] == [path.name]


def test_foreign_objects_are_left_alone_and_named(gateway, tmp_path):
    from collector.audit.stores.opening import open_store
    from collector.audit.verifying import Verifier

    bucket = gateway.bucket("foreign")
    client = gateway.client()
    for key in ("audit/v1/service=s0/somebody's notes", "elsewhere/file"):
        client.put_object(Bucket=bucket, Key=key, Body=b"mine")
    store = open_store(gateway.settings(bucket), rgw.ENVIRONMENT)
    fill(tmp_path / "spool", store, hours=(4,))
    assert Verifier(store).run().findings == ["audit/v1/service=s0/somebody's notes: no manifest names it"]
    assert client.get_object(Bucket=bucket, Key="elsewhere/file")["Body"].read() == b"mine"


def test_something_else_under_the_name_is_never_overwritten(tmp_path):
    """Poisoned: said, tried again slowly, the segment stays; the others go on."""
    twin = MemoryStore()
    fill(tmp_path / "one", twin, hours=(4,))
    assert not os.listdir(tmp_path / "one/quarantine")
    from collector.audit.delivery import deliver, plain
    from collector.audit.errors import StoreProblem

    store = MemoryStore({"x": b"other"})
    with pytest.raises(StoreProblem, match="something else under this name"):
        deliver(store, plain("x", b"mine"), unsure=False)
    assert store.objects == {"x": b"other"}
