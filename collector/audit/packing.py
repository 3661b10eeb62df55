"""From a spool segment's records to objects, one for each service and hour. No I/O; equal records, equal objects."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import md5, sha256
from typing import Any, Final

import msgspec

from collector.audit.compression import SUFFIXES, Compressor, compressor
from collector.audit.frames import Damage, Frame
from collector.audit.layout import NO_SERVICE, OWN_SERVICE, EventsName
from collector.audit.settings import Compression
from collector.audit.stamps import checked_hour, hour_text, rfc3339
from collector.domain.audit import AUDIT_VERSION
from collector.domain.events import Loss

_HOUR_NS: Final = 3_600_000_000_000
_FLUSH: Final = 1 << 16  # bytes of lines given to a compressor at a time


class _About(msgspec.Struct):
    """The part of a line that decides where it goes."""

    started_at: str
    kind: str
    service: str | None = None
    count: int = 0


_decode = msgspec.json.Decoder(_About).decode


@dataclass(frozen=True, slots=True)
class PackedObject:
    """An object ready to be stored."""

    key: str
    body: bytes
    sha256: str
    md5: bytes
    content_sha256: str
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """All of one segment."""

    objects: tuple[PackedObject, ...]
    first: int
    last: int
    events: int  # records; lines that tell of damage are not among them
    lost: int  # told by loss events
    damaged: int  # sequence numbers without a readable record
    damaged_bytes: int


@dataclass(slots=True)
class _Draft:
    """An object while it is filled."""

    first_seq: int
    squeeze: Compressor
    content: Any = field(default_factory=sha256)
    pending: list[bytes] = field(default_factory=list)
    pending_size: int = 0
    parts: list[bytes] = field(default_factory=list)
    events: int = 0

    def add(self, line: bytes) -> None:
        self.pending.append(line)
        self.pending.append(b"\n")
        self.pending_size += len(line) + 1
        self.events += 1
        if self.pending_size >= _FLUSH:
            self.flush()

    def flush(self) -> None:
        data = b"".join(self.pending)
        self.content.update(data)
        self.parts.append(self.squeeze.compress(data))
        self.pending.clear()
        self.pending_size = 0

    def finish(self, writer: str, service: str, hour: str, suffix: str) -> PackedObject:
        self.flush()
        self.parts.append(self.squeeze.flush())
        body, content = b"".join(self.parts), self.content.hexdigest()
        name = EventsName(service, hour, writer, self.first_seq, content[:12], suffix)
        return PackedObject(
            name.key, body, sha256(body).hexdigest(), md5(body, usedforsecurity=False).digest(), content, self.events
        )


class Packer:
    """Packs one segment."""

    def __init__(self, writer: str, kind: Compression, *, hour: int, first: int, cut: int | None) -> None:
        """`cut`: the sequence number from which on a later segment holds the records that count."""
        self._writer, self._kind, self._hour = writer, kind, hour
        self._first, self._cut = first, cut
        self._expected = first
        self._drafts: dict[tuple[str, str], _Draft] = {}
        self._lost = self._damaged = self._damaged_bytes = self._events = 0

    def add(self, records: Iterable[Frame | Damage]) -> None:
        """Take a segment's records, in order."""
        for record in records:
            match record:
                case Frame(seq=seq, payload=line):
                    if seq < self._expected or (self._cut is not None and seq >= self._cut):
                        continue
                    if seq > self._expected:
                        self._tell_damage(seq)
                    self._take(seq, line)
                    self._expected = seq + 1
                case Damage(size=size):
                    self._damaged_bytes += size

    def finish(self) -> Packed:
        """Return the objects. What is missing before the next segment's first record is damage, too."""
        if self._cut is not None and self._cut > self._expected:
            self._tell_damage(self._cut)
        suffix = SUFFIXES[self._kind]
        objects = tuple(
            draft.finish(self._writer, service, hour, suffix) for (service, hour), draft in sorted(self._drafts.items())
        )
        return Packed(
            objects=objects,
            first=self._first,
            last=self._expected - 1,
            events=self._events,
            lost=self._lost,
            damaged=self._damaged,
            damaged_bytes=self._damaged_bytes,
        )

    def _take(self, seq: int, line: bytes) -> None:
        try:
            about = _decode(line)
            own = about.kind == "loss" and about.service is None
            place = (OWN_SERVICE if own else about.service or NO_SERVICE, about.started_at[:13])
            draft = self._drafts.get(place) or self._draft(place[0], checked_hour(place[1]), seq)
        except (msgspec.MsgspecError, ValueError):  # sound bytes, but no event: kept as they are
            draft, about = self._draft(OWN_SERVICE, hour_text(self._hour), seq), None
        if about is not None and about.kind == "loss":
            self._lost += about.count
        draft.add(line)
        self._events += 1

    def _draft(self, service: str, hour: str, seq: int) -> _Draft:
        found = self._drafts.get((service, hour))
        if found is None:
            found = self._drafts[(service, hour)] = _Draft(seq, compressor(self._kind))
        return found

    def _tell_damage(self, until: int) -> None:
        """Say in the archive itself that records from the expected one up to `until` cannot be read any more."""
        count = until - self._expected
        loss = Loss(
            id=f"{self._writer}-{self._expected}-damaged",
            seq=self._expected,
            started_at=rfc3339(self._hour * _HOUR_NS),
            stage="spool",
            reason="damaged",
            count=count,
        )
        head = f'{{"audit_version":"{AUDIT_VERSION}","writer":"{self._writer}","audit_seq":{self._expected},'
        self._draft(OWN_SERVICE, hour_text(self._hour), self._expected).add(
            head.encode() + msgspec.json.encode(loss)[1:]
        )
        self._damaged += count
        self._expected = until
