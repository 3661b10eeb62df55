"""What was issued, acknowledged and archived, kept outside of every fault's reach, and how they compare."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from collector.audit.settings import ArchiveSettings

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


_KEPT = ("id", "kind", "writer", "audit_seq", "stage", "reason", "count")  # of a line: there may be millions


@dataclass
class Ledger:
    """Counts by ID."""

    issued: set[str] = field(default_factory=set)
    acknowledged: Counter = field(default_factory=Counter)
    lost: Counter = field(default_factory=Counter)


class Driven:
    """One run of the driver process."""

    def __init__(
        self, ledger: Ledger, settings: ArchiveSettings, run: str, *, environment, rate=0, count=0, group=20, services=2,
        close_s=30.0, before=(),
    ):  # fmt: skip
        self.ledger, self.run = ledger, run
        self.shipper = 0
        self.closed = None
        self.acknowledged_at = time.monotonic()
        read, write = os.pipe()
        words = {
            "settings": msgspec.to_builtins(settings), "run": run, "pipe": write, "rate": rate, "count": count,
            "group": group, "services": services, "close_s": close_s,
        }  # fmt: skip
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "tests.support.audit_driver", json.dumps(words)],
            pass_fds=(write,), stdin=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment},
        )  # fmt: skip
        os.close(write)
        self._pipe = os.fdopen(read, "rb")
        self.errors: list[bytes] = []
        self._threads = [threading.Thread(target=self._listen), threading.Thread(target=self._errors)]
        for thread in self._threads:
            thread.start()

    def _errors(self):
        for line in self.process.stderr:
            self.errors.append(line)

    def _listen(self):
        for line in self._pipe:
            if not line.endswith(b"\n"):
                break  # cut off
            kind, _, rest = line.decode().strip().partition(" ")
            match kind:
                case "i":
                    first, last = map(int, rest.split())
                    self.ledger.issued.update(f"{self.run}-{n}" for n in range(first, last + 1))
                case "a":
                    self.ledger.acknowledged.update(one for one in rest.split() if one.startswith(self.run))
                    self.acknowledged_at = time.monotonic()
                case "s":
                    self.shipper = int(rest)
                case "l":
                    self.closed = json.loads(rest)
                    self.ledger.lost.update(self.closed["lost"])

    def says(self, event, *, after=0, within=60):
        """Wait for a log event of the shipper; return the number of lines read up to and with it."""
        ends = time.monotonic() + within
        while time.monotonic() < ends:
            for number, line in enumerate(self.errors[after:], after + 1):
                if f'"event":"{event}"'.encode() in line:
                    return number
            time.sleep(0.02)
        raise AssertionError(f"no {event!r} within {within} s: {b''.join(self.errors[-5:])!r}")

    def kill(self, *, shipper: bool = True):
        self.process.send_signal(signal.SIGKILL)
        if shipper and self.shipper:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.shipper, signal.SIGKILL)
        self.wait()

    def finish(self, timeout=120):
        self.process.stdin.close()
        return self.wait(timeout)

    def wait(self, timeout=60):
        code = self.process.wait(timeout)
        for thread in self._threads:
            thread.join(timeout)
        self.process.stdin.close()
        self.process.stderr.close()
        self._pipe.close()
        return code


def archived_in_bucket(client, bucket):
    """Return (lines, keys, versions) of a bucket, read with nothing of the archive's own code."""
    lines, keys, versions = [], [], Counter()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="audit/v1/service="):
        for item in page.get("Contents", ()):
            keys.append(item["Key"])
            lines += _lines(client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read())
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        assert not page.get("DeleteMarkers")
        versions.update(item["Key"] for item in page.get("Versions", ()))
    return lines, keys, versions


def doubled(client, bucket):
    """Say of each name with more than one version when each came to be."""
    found: dict[str, list[str]] = {}
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for one in page.get("Versions", ()):
            about = f"{one['LastModified'].isoformat()} {one['ETag']} {one['VersionId']}"
            found.setdefault(one["Key"], []).append(about)
    return {key: about for key, about in found.items() if len(about) > 1}


def archived_in_folder(folder):
    lines, keys = [], []
    for path in sorted(folder.glob("audit/v1/service=*/**/*.zst")):
        keys.append(str(path))
        lines += _lines(path.read_bytes())
    return lines, keys, Counter(keys)


def _lines(data):
    with zstd.ZstdFile(io.BytesIO(data)) as file:
        found = (json.loads(line) for line in file.read().splitlines())
        return [{name: line[name] for name in _KEPT if name in line} for line in found]


@dataclass
class Verdict:
    """What the comparison found; all but the first three have to be zero."""

    issued: int
    acknowledged: int
    archived: int
    lost: int
    doubled: int
    phantom: int
    extra_versions: int
    sequence_holes: int
    acknowledged_twice: int
    unacknowledged_archived: int  # issued, cut off before the acknowledgement, and kept: allowed

    @property
    def sound(self) -> bool:
        return not any(
            (self.lost, self.doubled, self.phantom, self.extra_versions, self.sequence_holes, self.acknowledged_twice)
        )


def judge(ledger: Ledger, lines, versions) -> Verdict:
    ids = Counter(line["id"] for line in lines if line["kind"] != "loss")
    by_writer: dict[str, Counter] = {}
    for line in lines:
        by_writer.setdefault(line["writer"], Counter())[line["audit_seq"]] += 1
    holes = sum(max(seqs) - len(seqs) for seqs in by_writer.values())
    twice = sum(count - 1 for seqs in by_writer.values() for count in seqs.values())
    return Verdict(
        issued=len(ledger.issued),
        acknowledged=len(ledger.acknowledged),
        archived=len(ids),
        lost=len(set(ledger.acknowledged) - set(ids)),
        doubled=sum(count - 1 for count in ids.values()),
        phantom=len(set(ids) - ledger.issued),
        extra_versions=sum(count - 1 for count in versions.values()),
        sequence_holes=holes + twice,
        acknowledged_twice=sum(count - 1 for count in ledger.acknowledged.values()),
        unacknowledged_archived=len(set(ids) - set(ledger.acknowledged)),
    )


def spool_backlog(spool):
    """Return how many sealed segments have no receipt yet."""
    sealed = [path.name[:12] for path in Path(spool, "segments").glob("*.seg")]
    return sum(not Path(spool, "receipts", f"{number}.json").exists() for number in sealed)
