"""The spool's disk is full, broken or limited: the policy holds, losses are counted in the archive itself, and it recovers."""

import contextlib
import subprocess
import time
from dataclasses import replace

import pytest

from collector.audit.archive import Archive
from collector.audit.settings import StoreSettings
from tests.support.audit_events import connection, exchange
from tests.support.audit_oracle import Driven, Ledger, archived_in_folder, judge


@contextlib.contextmanager
def small_volume(folder, size):
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def wait_for(condition, within=20.0):
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends, "it did not come true in time"
        time.sleep(0.01)


def told_losses(lines):
    return sum(line["count"] for line in lines if line["kind"] == "loss" and line["stage"] == "archive")


def test_a_full_volume(tmp_path, settings):
    """Fill a volume of 1 MB; what has no room is counted, and told in the archive once there is room again."""
    with small_volume(tmp_path / "volume", "1m") as volume:
        wanted = settings(
            StoreSettings(directory=str(tmp_path / "archive")), spool=str(volume / "spool"), queue_events=500,
            segment_seconds=3600.0, segment_bytes=1 << 30, reserve_bytes=100_000,
        )  # fmt: skip
        archive = Archive.open(wanted).start()
        issued = 0
        while not archive.losses():
            archive.append([exchange(n) for n in range(issued, issued + 20)])
            issued += 20
            time.sleep(0.001)
        assert archive.health().problem.startswith("disk_full")
        subprocess.run(["mount", "-o", "remount,size=4m", volume], check=True)
        cleared = time.monotonic()
        wait_for(lambda: not archive.health().problem and not archive.health().waiting)
        assert time.monotonic() - cleared < 5
        archive.append([exchange(issued)])
        issued += 1
        lost = sum(archive.losses().values())
        assert archive.close(30)
        lines, _, _ = archived_in_folder(tmp_path / "archive")
        kept = [line for line in lines if line["kind"] == "exchange"]
        assert len(kept) + lost == issued
        assert told_losses(lines) == lost


def test_a_volume_that_is_full_at_the_start(tmp_path, settings):
    with small_volume(tmp_path / "volume", "300k") as volume:
        (volume / "other").write_bytes(bytes(300 * 1024))
        wanted = settings(StoreSettings(directory=str(tmp_path / "archive")), spool=str(volume / "spool"))
        archive = Archive.open(wanted).start()
        archive.append([exchange(n) for n in range(10)])
        wait_for(lambda: "disk_full" in archive.health().problem)
        (volume / "other").unlink()
        subprocess.run(["mount", "-o", "remount,size=4m", volume], check=True)
        wait_for(lambda: archive.health().acknowledged == 10, within=5)
        assert archive.close(30)
        assert len(archived_in_folder(tmp_path / "archive")[0]) == 10


def test_the_bound_of_the_spool_sheds_what_is_ordinary_first(tmp_path, settings):
    """The store is away: ordinary events give way at 80 % of the spool, critical ones at its end, all of them counted."""
    nowhere = StoreSettings(endpoint="http://127.0.0.1:9", bucket="none", credentials=str(tmp_path / "no"))
    wanted = settings(nowhere, spool_bytes=300_000, segment_bytes=50_000, queue_events=500, segment_seconds=60.0)
    archive = Archive.open(wanted).start()
    issued = {"critical": 0, "ordinary": 0}
    order: list[str] = []
    for n in range(2000):
        archive.append([connection(n), exchange(n)])
        issued["critical"] += 1
        issued["ordinary"] += 1
        order += [reason for reason in archive.losses() if reason not in order]
        while archive.health().waiting > 40 and not archive.health().problem.startswith("spool_full"):
            time.sleep(0.0005)  # the writer's turn: no single write goes from below 80 % to the end
    archive.close(1)
    full = next(at for at, reason in enumerate(order) if reason.startswith("spool_full"))
    assert order.index("spool_filling_ordinary") < full
    again = replace(wanted, store=StoreSettings(directory=str(tmp_path / "archive")))
    assert Archive.open(again).start().close(30)
    lines, _, _ = archived_in_folder(tmp_path / "archive")
    kept = [line["kind"] for line in lines if line["kind"] != "loss"]
    assert kept.count("exchange") > kept.count("connection") > 0
    assert archive.health().acknowledged == len(kept)
    assert archive.health().acknowledged + sum(archive.losses().values()) == sum(issued.values())


@pytest.mark.parametrize("fault", ["EIO", "ENOSPC", "EFBIG"])
@pytest.mark.parametrize("call", ["fdatasync", "write"])
def test_errors_of_the_disk_midway(tmp_path, settings, call, fault):
    """A few calls fail; the segment is left, the next one takes over, and nothing acknowledged is lost or doubled."""
    ledger = Ledger()
    wanted = settings(StoreSettings(directory=str(tmp_path / "archive")))
    paths = [
        word
        for number in range(1, 30)
        for hour in (time.time_ns() // 3_600_000_000_000 + step for step in (0, 1))
        for word in ("-P", f"{wanted.spool}/segments/{number:012d}-{hour:07d}.open")
    ]
    inject = ["strace", "-f", "-qqq", "-o", str(tmp_path / "calls"), "-e", f"trace={call}", *paths,
              "-e", f"inject={call}:error={fault}:when=4..6"]  # fmt: skip
    run = Driven(ledger, wanted, "e", environment={}, rate=300, count=300, group=5, close_s=30, before=inject)
    assert run.wait(90) == 0, b"".join(run.errors)
    assert (tmp_path / "calls").read_text().count("(INJECTED)") == 3
    found = judge(ledger, *archived_in_folder(tmp_path / "archive")[::2])
    assert found.sound
    assert found.issued == found.acknowledged == found.archived
    assert run.closed["lost"] == {}


def test_a_limit_on_the_size_of_files(tmp_path, settings):
    """EFBIG by RLIMIT_FSIZE: each segment ends at the limit, and the next one goes on."""
    ledger = Ledger()
    wanted = settings(StoreSettings(directory=str(tmp_path / "archive")), segment_bytes=1 << 20)
    run = Driven(
        ledger, wanted, "b", environment={}, rate=2000, count=500, group=5, close_s=30,
        before=["prlimit", "--fsize=60000"],
    )  # fmt: skip
    assert run.wait(90) == 0, b"".join(run.errors)
    found = judge(ledger, *archived_in_folder(tmp_path / "archive")[::2])
    assert found.sound
    assert found.archived + sum(ledger.lost.values()) == found.issued == 500
    assert found.acknowledged == 500
