"""What the archive costs and holds: durable events per core, acknowledgement, upload, memory, replay."""

import gc
import os
import select
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

from collector.audit.archive import Archive
from collector.audit.reading import Interval, blocks, objects
from collector.audit.settings import ArchiveSettings, StoreSettings
from collector.audit.shipper import Shipper
from collector.audit.spool import Spool
from collector.audit.spool_files import SpoolFiles
from collector.audit.stores.directory import DirectoryStore
from collector.audit.stores.opening import open_store
from tests.support import rgw
from tests.support.audit_archive import lines_of
from tests.support.audit_events import exchange
from tests.support.figures import measured, write

COMMAND = "python -m tests.bench.audit.bench_archive"
figure = partial(measured, COMMAND)
EVENTS = 100_000
GROUP = 1000


def durable_and_shipped(folder, store):
    """Encode, frame, fdatasync; then read back, check, hash, compress, store. Return (CPU s, CPU s, wall s, bytes)."""
    settings = ArchiveSettings(spool=str(folder), store=store)
    files = SpoolFiles(folder)
    files.make()
    spool = Spool(files, segment_bytes=settings.segment_bytes, segment_ns=10**18)
    made = [[exchange(n, service=f"s{n % 2}") for n in range(at, at + GROUP)] for at in range(0, EVENTS, GROUP)]
    gc.collect()
    gc.freeze()
    size, began = 0, time.process_time()
    for events in made:
        lines = lines_of(spool, events)
        size += sum(map(len, lines)) + len(lines)
        spool.write(lines, wall_ns=time.time_ns(), now_ns=time.monotonic_ns())
    spool.close()
    wrote = time.process_time() - began
    shipper = Shipper(
        files, open_store(store, rgw.ENVIRONMENT), settings, key=b"", tell=lambda *words, **more: None, settle_s=0
    )
    began, wall = time.process_time(), time.monotonic()
    while not shipper.idle:
        shipper.step(closing=True)
    return wrote, time.process_time() - began, time.monotonic() - wall, size


def acknowledgement(folder, seconds=6.0, rate=2000):
    """At a steady rate: how long from `append` to the acknowledgement, ms, p50 and p99; and a bare fdatasync's p99 beside it."""
    latencies: list[float] = []
    given: dict[int, float] = {}

    def told(events):
        now = time.monotonic()
        latencies.extend(now - given.pop(one.seq) for one in events)

    settings = ArchiveSettings(spool=str(folder / "spool"), store=StoreSettings(directory=str(folder / "archive")))
    archive = Archive.open(settings, told).start()
    began, number = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        events = [exchange(n) for n in range(number, number + 10)]
        now = time.monotonic()
        given.update((one.seq, now) for one in events)
        archive.append(events)
        number += 10
        select.select([], [], [], max(0, began + number / rate - time.monotonic()))
    archive.close(30)
    latencies.sort()
    return latencies[len(latencies) // 2] * 1000, latencies[len(latencies) * 99 // 100] * 1000


def bare_fdatasync(folder, count=1500):
    """The disk itself, meanwhile: append 8 KB, fdatasync; p99 in ms."""
    took = []
    with (folder / "bare").open("wb", buffering=0) as file:
        for _ in range(count):
            before = time.monotonic()
            file.write(bytes(8192))
            os.fdatasync(file.fileno())
            took.append(time.monotonic() - before)
    took.sort()
    return took[len(took) * 99 // 100] * 1000


def resident(pid="self"):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def memory(folder, gateway):
    """Steady, in an outage, after it: resident MB of the shipper and what the collector grew by."""
    os.environ.update(rgw.ENVIRONMENT)
    store = gateway.settings("memory", connect_timeout_s=1.0, read_timeout_s=2.0)
    before = resident()
    archive = Archive.open(ArchiveSettings(spool=str(folder / "spool"), store=store)).start()
    number, found = 0, {}
    for phase in ("steady", "outage", "after"):
        if phase == "outage":
            gateway.call("sig", "rgw", "KILL")
        if phase == "after":
            gateway.call("respawn", "rgw")
        ends = time.monotonic() + 8
        while time.monotonic() < ends:
            archive.append([exchange(n, service=f"s{n % 3}") for n in range(number, number + 20)])
            number += 20
            time.sleep(0.01)
        found[phase] = (resident(archive.health().shipper["pid"]), resident() - before)
    assert archive.close(60)
    return found


def replayed(store):
    began, count = time.process_time(), 0
    asked = Interval()
    for block in blocks(store, asked, objects(store, asked)):
        count += block.count(b"\n")
    return count / (time.process_time() - began)


def main():
    folder = Path(tempfile.mkdtemp(prefix="netscope-bench-"))
    gateway = rgw.start(folder / "ceph")
    figures = []
    try:
        for name in ("upload", "memory"):
            gateway.bucket(name)
        found = memory(folder / "memory", gateway)
        for phase, (shipper, grown) in found.items():
            figures.append(figure(
                f"resident memory, {phase}", shipper + grown, "MB", 40, at_least=False,
                method=f"2,000 events/s to Ceph RGW: VmRSS of the shipper ({shipper:.1f} MB) and what the collector's grew by "
                f"({grown:.1f} MB)",
            ))  # fmt: skip
        runs = [
            durable_and_shipped(folder / f"local{n}", StoreSettings(directory=str(folder / f"archive{n}")))
            for n in range(3)
        ]
        cpu = min(wrote + shipped for wrote, shipped, _, _ in runs)
        figures.append(figure(
            "events durable and archived per core", EVENTS / cpu, "1/s", 100_000, at_least=True,
            method=f"CPU time of encode, frame, CRC32C, fdatasync per {GROUP}, then read, check, SHA-256, MD5, zstd, store; "
            f"{runs[0][3] // EVENTS} bytes an event; best of 3",
        ))  # fmt: skip
        figures.append(figure(
            "replay", replayed(DirectoryStore(folder / "archive0")), "1/s", 100_000, at_least=True,
            method="CPU time of listing, reading, decompressing, checking the digest of all objects in a directory",
        ))  # fmt: skip
        wall, size = min((run[2], run[3]) for run in [
            durable_and_shipped(folder / f"upload{n}", gateway.settings("upload")) for n in range(3)
        ])  # fmt: skip
        figures.append(figure(
            "upload to a local gateway", size / wall / 1e6, "MB/s of JSONL", 80, at_least=True,
            method="wall time of shipping sealed segments to a bucket of Ceph RGW on the same two cores (memstore); best of 3",
        ))  # fmt: skip
        figures.append(figure(
            "drain after an outage", EVENTS / wall / 2000, "times real time", 10, at_least=True,
            method="the same upload, against 2,000 events/s",
        ))  # fmt: skip
        p50, p99 = acknowledgement(folder / "acknowledge")
        bare = bare_fdatasync(folder)
        figures.append(figure(
            "acknowledgement, p99", p99, "ms", 10, at_least=False, baseline=f"a bare fdatasync here at that time: p99 {bare:.2f} ms",
            method=f"2,000 events/s in groups of 10, from append to after fdatasync, shipper running; p50 {p50:.2f} ms",
        ))  # fmt: skip
    finally:
        gateway.call("wipe")
        shutil.rmtree(folder, ignore_errors=True)
    for one in figures:
        print(
            f"{one.figure}: {one.value} {one.unit} (target {one.target}, {'met' if one.met else 'NOT met'}) {one.method}"
        )
    write("audit", figures)


if __name__ == "__main__":
    main()
