"""A small archive made by the real writer and shipper with a clock of its own, and a store in memory."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import md5 as md5_of

import msgspec

from collector.audit.errors import ObjectExists, ObjectMissing
from collector.audit.settings import ArchiveSettings, StoreSettings
from collector.audit.shipper import Shipper
from collector.audit.spool import HOUR_NS, Spool
from collector.audit.spool_files import SpoolFiles
from collector.audit.stamps import rfc3339
from collector.audit.stores.store import Held, Listed
from tests.support.audit_events import exchange

HOUR = 498_700  # 2026-11-21T04


@dataclass
class MemoryStore:
    """A store that keeps the contract of the others in a dict."""

    objects: dict[str, bytes] = field(default_factory=dict)
    refuses_overwriting: bool = True
    place: str = "memory"

    def put(self, key: str, body: bytes, *, md5: bytes, about: dict[str, str]) -> None:
        if key in self.objects:
            raise ObjectExists(key, refusal="permanent")
        self.objects[key] = body

    def head(self, key: str) -> Held | None:
        body = self.objects.get(key)
        return None if body is None else Held(len(body), md5_of(body).hexdigest(), {})

    def get(self, key: str) -> Iterator[bytes]:
        if key not in self.objects:
            raise ObjectMissing(key, refusal="permanent")
        yield self.objects[key]

    def listed(self, prefix: str) -> Iterator[Listed]:
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield Listed(key, len(self.objects[key]))

    def folders(self, prefix: str) -> list[str]:
        rest = (key[len(prefix) :] for key in self.objects if key.startswith(prefix))
        return sorted({prefix + one.partition("/")[0] + "/" for one in rest if "/" in one})


def key_pair(folder):
    """Make a key as the documentation says; return (private, public) paths."""
    folder.mkdir(parents=True, exist_ok=True)
    private, public = folder / "audit.key", folder / "audit.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return private, public


def lines_of(spool, events):
    head = b'{"audit_version":"1.0","writer":"%s","audit_seq":' % spool.writer.encode()
    return [
        b"%s%d,%s" % (head, spool.next_seq + n, msgspec.json.encode(event)[1:]) for n, event in enumerate(events)
    ]  # fmt: skip


def fill(folder, store, *, hours, key=b"", segment_bytes=4000, at=None):
    """Archive so many events in each hour (0: an empty one; None: no collector at all; `at`: other hours), then end."""
    settings = ArchiveSettings(spool=str(folder), store=StoreSettings(directory=""), segment_bytes=segment_bytes)
    files = SpoolFiles(folder)
    files.make()
    spool = Spool(files, segment_bytes=segment_bytes, segment_ns=10**18)
    shipper = Shipper(files, store, settings, key=key, tell=lambda *words, **more: None, settle_s=0.0)
    number = spool.next_seq
    for hour, count in zip(at or range(len(hours)), hours, strict=True):
        if count is None:
            continue
        wall = (HOUR + hour) * HOUR_NS + 1
        spool.begin(wall_ns=wall, now_ns=0)
        spool.tick(wall_ns=wall, now_ns=0)
        for _ in range(count):
            event = exchange(number, service=f"s{number % 2}", started_at=rfc3339(wall + number), run=spool.writer)
            spool.write(lines_of(spool, [event]), wall_ns=wall, now_ns=0)
            number += 1
    spool.close()
    for _ in range(200):
        shipper.step(closing=True)
        if shipper.idle:
            break
    assert shipper.idle, shipper.shipped
    return shipper


def save(store: MemoryStore, folder) -> None:
    """Write a store in memory into a folder."""
    for key, body in store.objects.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
