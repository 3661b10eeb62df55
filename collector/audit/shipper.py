"""Takes sealed segments to the store, notes it, releases them, and writes the chain of manifests."""

import contextlib
import gc
import itertools
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from collector.audit import chain, notes, signing
from collector.audit.delivery import deliver, plain
from collector.audit.errors import AuditProblem, SpoolFormatProblem, StoreProblem
from collector.audit.frames import Frame
from collector.audit.layout import manifest_key
from collector.audit.manifest import Manifest, decode, digest
from collector.audit.notes import ObjectNote, Receipt
from collector.audit.packing import Packer
from collector.audit.settings import ArchiveSettings
from collector.audit.spool_files import SegmentFile, SpoolFiles, header_of, records, write_durably
from collector.audit.stores.store import Store

_SETTLE_S: Final = 2.0  # for a request that was given up and may still be carried out
_POISONED_S: Final = 60.0  # before a segment that only a person can help is tried again
_FIRST_PAUSE_S: Final = 0.1
_AT_ONCE: Final = 256  # segments that are handed to the threads after one look at the directory, at most
_AT_ONCE_BYTES: Final = 1 << 26  # of them together: what is shipped within a second

Tell = Callable[..., None]


@dataclass(slots=True)
class Shipped:
    """What a shipper did so far; told to the collector."""

    objects: int = 0
    events: int = 0
    manifests: int = 0
    anchor: str = ""
    backlog_segments: int = 0
    problem: str = ""
    fix: str = ""


@dataclass(slots=True)
class _Course:
    """When to try again."""

    tries: int = 0
    not_before: float = 0.0
    doubt: bool = True  # a request that was given up may still be carried out; also one of the run before
    poisoned: dict[int, float] = field(default_factory=dict)


class Shipper:
    """Ships one spool to one store. `key`: the private signing key (PEM), or nothing."""

    def __init__(  # noqa: PLR0913
        self, files: SpoolFiles, store: Store, settings: ArchiveSettings, *, key: bytes, tell: Tell,
        settle_s: float = _SETTLE_S,
    ) -> None:  # fmt: skip
        self._files, self._store, self._settings = files, store, settings
        self._key, self._tell, self._settle_s = key, tell, settle_s
        self._writer = files.writer()
        self._public = signing.public_key(key) if key else b""
        self._public_digest = digest(self._public) if key else ""
        self._published = False
        self._course = _Course()
        self._threads = ThreadPoolExecutor(settings.upload_threads, thread_name_prefix="upload")
        self.shipped = Shipped()
        self._last = notes.last_manifest(files)
        self._noted: dict[int, int] = {}  # segments in the store that no manifest covers yet, and their hours
        self._listed: list[SegmentFile] = []  # as of this step
        self._read_notes()

    def _read_notes(self) -> None:
        """Take up what the run before noted."""
        if self._last:
            self.shipped.anchor = self._last[1]
        for receipt in notes.receipts(self._files):
            if receipt.segment <= self._covered():  # left over from a run that was cut off
                notes.receipt_path(self._files, receipt.segment).unlink()
            else:
                self._noted[receipt.segment] = receipt.hour

    def step(self, *, closing: bool = False) -> bool:
        """Do what can be done now; tell whether more is to do at once."""
        if time.monotonic() < self._course.not_before:
            return False
        try:
            self._listed = self._files.listed()
            more = self._ship()
            self._release()
            more = self._write_manifest(closing=closing) or more
            self._upload_manifests()
        except StoreProblem as problem:
            self._failed(problem)
            return False
        except (AuditProblem, OSError) as problem:
            self._failed(StoreProblem(str(problem), refusal="slow", fix=getattr(problem, "fix", "")))
            return False
        if not self._course.poisoned:
            self._mended()
        self._course.tries = 0
        return more

    @property
    def idle(self) -> bool:
        """Tell whether everything is in the store, manifests too."""
        try:
            if self._noted or any(not kept.done.exists() for kept in notes.kept_manifests(self._files)):
                return False
            self._listed = self._files.listed()
        except OSError:  # `step` has said it
            return False
        return not self._waiting()

    def _waiting(self) -> list[SegmentFile]:
        """Return the sealed segments that are not in the store yet."""
        return [one for one in self._unfinished() if one.sealed]

    def _unfinished(self) -> list[SegmentFile]:
        """Return the segments, the open one too, that are not in the store yet."""
        covered = self._covered()
        return [one for one in self._listed if one.number > covered and one.number not in self._noted]

    def _covered(self) -> int:
        return self._last[0].segment if self._last else 0

    def _ship(self) -> bool:
        """Take the next few segments to the store; the first problem is raised once all have ended."""
        now = time.monotonic()
        waiting = self._waiting()
        self.shipped.backlog_segments = len(waiting)
        ready = [one for one in waiting if self._course.poisoned.get(one.number, 0) <= now]
        if not ready:
            return False
        if self._course.tries:
            self._store.head(chain.key_name("probe"))  # cheap: while the store is away nothing is packed in vain
        self._settle()
        count = _count_at_once(ready) if self._course.tries == 0 else 1
        listed = self._listed = self._files.listed()  # once more: whatever is sealed has its follower here
        place = {one.number: at for at, one in enumerate(listed)}
        running = [
            (one, self._threads.submit(self._ship_segment, one, itertools.islice(listed, place[one.number] + 1, None)))
            for one in ready[:count]
        ]
        problems: list[StoreProblem] = []
        for segment, future in running:
            if future.cancelled():
                continue
            try:
                future.result()
                self._noted[segment.number] = segment.hour
                self._course.poisoned.pop(segment.number, None)
            except StoreProblem as problem:
                if problem.refusal == "permanent":
                    self._poison(segment, problem)
                else:
                    problems.append(problem)
            except OSError as problem:  # the spool's own disk
                problems.append(StoreProblem(str(problem), refusal="slow"))
            except SpoolFormatProblem as problem:
                self._set_aside(segment, problem)
            if problems:
                for _, other in running:  # all at once: one by one the threads would always be ahead
                    other.cancel()
        if problems:
            raise problems[0]
        return len(ready) > count

    def _settle(self) -> None:
        """Where the store takes a second object of the same name: wait until no earlier request can be under way."""
        if self._course.doubt and not self._store.refuses_overwriting:
            self._store.head(chain.key_name("settle"))  # it answers again
            time.sleep(self._settle_s)
        self._course.doubt = False

    def _ship_segment(self, segment: SegmentFile, later: Iterable[SegmentFile]) -> None:
        cut = self._cut(segment, later)
        first = _first_seq(segment) or cut
        if first is None:  # no record, none behind it: nothing that a sequence could tell
            last = max((one.last for one in notes.receipts(self._files)), default=notes.known_seq(self._files))
            first = last + 1
        packer = Packer(self._writer, self._settings.compression, hour=segment.hour, first=first, cut=cut)
        packer.add(records(segment))
        packed = packer.finish()
        stored = []
        for item in packed.objects:
            there = deliver(self._store, item, unsure=self._course.tries > 0)
            stored.append(ObjectNote(key=item.key, sha256=there, size=len(item.body), events=item.events))
        receipt = Receipt(
            segment=segment.number,
            hour=segment.hour,
            first=packed.first,
            last=packed.last,
            events=packed.events,
            lost=packed.lost,
            damaged=packed.damaged,
            objects=tuple(stored),
        )
        if packed.damaged:
            self._tell("spool damaged", segment=segment.path.name, records=packed.damaged, bytes=packed.damaged_bytes)
            self._keep_aside(segment)
        notes.save_receipt(self._files, receipt)
        self.shipped.objects += len(stored)
        self.shipped.events += packed.events

    def _cut(self, segment: SegmentFile, later: Iterable[SegmentFile]) -> int | None:
        """Return where the records of the segments behind this one begin."""
        while True:
            try:
                return next((first for one in later if (first := _first_seq(one))), None)
            except FileNotFoundError:  # sealed since that look at the directory
                later = [one for one in self._files.listed() if one.number > segment.number]

    def _keep_aside(self, segment: SegmentFile) -> None:
        """Keep a damaged segment for a person to look at."""
        with contextlib.suppress(FileExistsError):
            os.link(segment.path, self._files.quarantine / segment.path.name)

    def _set_aside(self, segment: SegmentFile, problem: SpoolFormatProblem) -> None:
        """A segment of another format: keep it, go on without it."""
        self._tell("segment set aside", segment=segment.path.name, problem=str(problem))
        segment.path.rename(self._files.quarantine / segment.path.name)

    def _release(self) -> None:
        """Remove segments that are in the store, in order: each says where the records of the one before it end.

        The newest one stays: it says where the sequence goes on.
        """
        covered = self._covered()
        for segment in self._listed[:-1]:
            if not segment.sealed or (segment.number > covered and segment.number not in self._noted):
                return
            segment.path.unlink(missing_ok=True)

    def _write_manifest(self, *, closing: bool) -> bool:
        """Write the next manifest where one is due; tell whether another may be."""
        unfinished = ((one.number, one.hour) for one in self._unfinished())
        part = chain.due(self._noted.items(), unfinished, at_once=closing)
        if not part:
            return False
        receipts = [notes.read_receipt(self._files, number) for number in part]
        made, _ = chain.following(receipts, self._writer, self._public_digest, self._last)
        notes.save_manifest(self._files, made)
        self._last = (made, digest(made.encode()))
        self._noted = {number: hour for number, hour in self._noted.items() if number > made.segment}
        return True

    def _upload_manifests(self) -> None:
        for kept in notes.kept_manifests(self._files):
            if kept.done.exists():
                continue
            data = kept.data
            made = decode(data)
            self._publish_key()
            key = manifest_key(made.writer, made.number, made.hour)
            self._settle()
            if self._key:
                if not kept.signature.exists():
                    write_durably(kept.signature, signing.sign(self._key, data))
                deliver(self._store, plain(key + ".sig", kept.signature.read_bytes()), unsure=True)
            deliver(self._store, plain(key, data), unsure=True)
            self._anchor(made, digest(data))
            write_durably(kept.done, b"")
        notes.forget_old_manifests(self._files)

    def _publish_key(self) -> None:
        if self._key and not self._published:
            deliver(self._store, plain(chain.key_name(signing.fingerprint(self._public)), self._public), unsure=True)
            self._published = True

    def _anchor(self, made: Manifest, sha256: str) -> None:
        """Give the manifest's hash to places outside of the store."""
        self.shipped.manifests += 1
        self.shipped.anchor = sha256
        about: dict[str, Any] = {"writer": made.writer, "number": made.number, "hour": made.hour}
        self._tell("manifest stored", **about, sha256=sha256, events=made.events, lost=made.lost)
        if self._settings.anchor_file:
            line = f"{sha256}  {manifest_key(made.writer, made.number, made.hour)}\n"
            with open(self._settings.anchor_file, "a", encoding="ascii") as file:  # noqa: PTH123
                file.write(line)
                file.flush()
                os.fsync(file.fileno())

    def _failed(self, problem: StoreProblem) -> None:
        course = self._course
        course.tries += 1
        course.doubt = course.doubt or problem.refusal == "ambiguous"
        longest = self._settings.retry_seconds
        pause = min(longest, _FIRST_PAUSE_S * 2 ** min(course.tries, 16)) if problem.refusal == "ambiguous" else longest
        course.not_before = time.monotonic() + pause
        self._say(problem)
        problem.__traceback__ = None
        gc.collect()  # what failed deep in the client leaves cycles that hold the packed objects

    def _poison(self, segment: SegmentFile, problem: StoreProblem) -> None:
        self._course.poisoned[segment.number] = time.monotonic() + _POISONED_S
        self._say(problem)

    def _say(self, problem: StoreProblem) -> None:
        if self.shipped.problem != str(problem):
            self._tell("store refuses", problem=str(problem), fix=problem.fix, refusal=problem.refusal)
        self.shipped.problem, self.shipped.fix = str(problem), problem.fix

    def _mended(self) -> None:
        if self.shipped.problem:
            self._tell("store accepts again", place=self._store.place)
        self.shipped.problem = self.shipped.fix = ""


def _count_at_once(ready: list[SegmentFile]) -> int:
    """Return how many of these to take on together: not so much that an order has to wait for long."""
    total = 0
    for count, segment in enumerate(ready[:_AT_ONCE]):
        total += segment.path.stat().st_size
        if total > _AT_ONCE_BYTES:
            return max(1, count)
    return min(len(ready), _AT_ONCE)


def _first_seq(segment: SegmentFile) -> int | None:
    """Return where a segment's records begin: by its header, or where that is damaged by its first record."""
    if header := header_of(segment):
        return header.first_seq
    try:
        return next((found.seq for found in records(segment) if isinstance(found, Frame)), None)
    except SpoolFormatProblem:
        return None
