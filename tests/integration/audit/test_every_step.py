"""SIGKILL at every system call that changes a disk, one after the other, injected by strace."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import msgspec
import pytest

from collector.audit.settings import StoreSettings
from tests.support import rgw
from tests.support.audit_oracle import Driven, Ledger, archived_in_bucket, archived_in_folder, judge


def strace(call, number, path):
    """Kill at the n-th call of this kind that touches something below `path`."""
    return [
        "strace", "-f", "-qqq", "-o", "/dev/null", "-e", f"trace={call}", *path,
        "-e", f"inject={call}:signal=SIGKILL:when={number}",
    ]  # fmt: skip


def spool_paths(folder):
    """Every file that the writer or the shipper may name: strace's -P wants whole paths."""
    found = [
        folder / name
        for name in (
            "spool",
            "spool/segments",
            "spool/receipts",
            "spool/manifests",
            "spool/writer",
            "spool/.writer.new",
        )
    ]
    for number in range(1, 90):
        for hour in hours():
            found += [folder / f"spool/segments/{number:012d}-{hour:07d}.{kind}" for kind in ("open", "seg")]
    found += [
        folder / f"spool/receipts/{name}" for n in range(1, 90) for name in (f"{n:012d}.json", f".{n:012d}.json.new")
    ]
    for n in range(1, 20):
        for suffix in ("sha256", "sig", "done"):
            found += [folder / f"spool/manifests/{n:08d}.{suffix}", folder / f"spool/manifests/.{n:08d}.{suffix}.new"]
    return [word for path in found for word in ("-P", str(path))]


def hours():
    import time

    now = time.time_ns() // 3_600_000_000_000
    return (now, now + 1)


def killed(code):
    return code in (-9, 137)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("call", "least"), [("fdatasync", 5), ("fsync", 2), ("write", 5), ("rename", 2)])
def test_the_writer_at_every_call(tmp_path, settings, call, least, capsys):
    ledger, kills = Ledger(), 0
    wanted = replace(
        settings(StoreSettings(directory=str(tmp_path / "archive"))), segment_bytes=8_000, segment_seconds=60
    )
    paths = spool_paths(tmp_path)
    for number in range(1, 60):
        run = Driven(
            ledger, wanted, f"{call}{number}x", environment={}, rate=400, count=120, group=10, close_s=0.5,
            before=strace(call, number, paths),
        )  # fmt: skip
        code = run.wait(60)
        if run.shipper and alive(run.shipper):
            os.kill(run.shipper, 9)
        if not killed(code):
            break
        kills = number
    last = Driven(ledger, wanted, "last", environment={}, count=50, close_s=60)
    assert last.wait(90) == 0
    found = judge(ledger, *archived_in_folder(tmp_path / "archive")[::2])
    with capsys.disabled():
        print(f"\nkilled at the 1st to {kills}th {call}: {found}")
    assert found.sound
    assert kills >= least


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ship(settings, environment, before=()):
    return subprocess.run(
        [*before, sys.executable, "-m", "tests.support.audit_ship", json.dumps(msgspec.to_builtins(settings))],
        env={**os.environ, **environment}, timeout=90, check=False, capture_output=True,
    )  # fmt: skip


def filled(settings, ledger, name):
    """Leave a few sealed segments, with nobody to ship them."""
    unreachable = replace(settings, store=StoreSettings(endpoint="http://127.0.0.1:9", bucket="none"))
    run = Driven(ledger, unreachable, name, environment=rgw.ENVIRONMENT, count=40, rate=800, group=10, close_s=0.3)
    assert run.wait(60) == 1


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["directory", "bucket"])
def test_the_shipper_at_every_call(tmp_path, settings, kind, request, capsys):
    key = tmp_path / "audit.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
    if kind == "bucket":
        gateway = request.getfixturevalue("gateway")
        bucket_name = gateway.bucket("every-call")
        store = gateway.settings(bucket_name)
    else:
        store = StoreSettings(directory=str(tmp_path / "archive"))
    wanted = settings(store, segment_bytes=8_000, segment_seconds=60, signing_key=str(key))
    ledger, kills = Ledger(), {}
    paths = [] if kind == "directory" else spool_paths(tmp_path)
    calls = ("fdatasync", "fsync", "write", "rename", "unlink") + (("link", "mkdir") if kind == "directory" else ())
    for call in calls:
        filled(wanted, ledger, f"{call}x")
        for number in range(1, 60):
            if not killed(ship(wanted, rgw.ENVIRONMENT, strace(call, number, paths)).returncode):
                break
            kills[call] = number
    filled(wanted, ledger, "lastx")
    assert ship(wanted, rgw.ENVIRONMENT).returncode == 0
    if kind == "bucket":
        lines, _, versions = archived_in_bucket(gateway.client(), bucket_name)
    else:
        lines, _, versions = archived_in_folder(tmp_path / "archive")
    found = judge(ledger, lines, versions)
    with capsys.disabled():
        print(f"\n{kind}: killed at {kills}: {found}")
    assert found.sound
    assert all(kills.get(call, 0) >= 2 for call in ("fdatasync", "write", "rename", "unlink"))
