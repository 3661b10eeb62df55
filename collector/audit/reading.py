"""Reading back: the lines of an interval and a service, from only the objects that can hold them."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from collector.audit.compression import decompressed
from collector.audit.errors import ArchiveNotSound
from collector.audit.layout import ROOT, EventsName, hour_prefix, parse_events, quote_service
from collector.audit.stamps import hour_number, hour_text
from collector.audit.stores.store import Store

_SERVICES: Final = ROOT + "service="
_END: Final = "9999-12-31T23:59:59.999999999Z"
_HOURS_BY_PREFIX: Final = 48  # a longer interval is read by listing whole days or all of a service


class _About(msgspec.Struct):
    started_at: str = ""


_started_at = msgspec.json.Decoder(_About).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Events begun at `since` or later and before `until`, of one service or all; times are normalised."""

    since: str = ""
    until: str = _END
    service: str | None = None

    @property
    def hours(self) -> tuple[str, str]:
        """Return the first and the last hour that can hold something."""
        last = self.until[:13]
        if self.until[13:] == ":00:00.000000000Z":
            last = hour_text(hour_number(last) - 1)
        return self.since[:13], last

    def has_all_of(self, hour: str) -> bool:
        """Tell whether the whole hour lies inside."""
        return self.since <= f"{hour}:00:00.000000000Z" and f"{hour}:59:59.999999999Z" < self.until


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """An object that can hold what is asked for."""

    name: EventsName
    size: int


def objects(store: Store, interval: Interval) -> list[Found]:
    """Return the objects to read: in order of hour, then writer, then sequence."""
    found = []
    for prefix in _prefixes(store, interval):
        for item in store.listed(prefix):
            name = parse_events(item.key)
            if name and interval.hours[0] <= name.hour <= interval.hours[1]:
                found.append(Found(name, item.size))
    return sorted(found, key=lambda one: (one.name.hour, one.name.writer, one.name.first_seq, one.name.service))


def _prefixes(store: Store, interval: Interval) -> list[str]:
    """Return what to list: the very hours where they are few, else the days, else the service."""
    if interval.service is None:
        services = store.folders(_SERVICES)
    else:
        services = [f"{_SERVICES}{quote_service(interval.service)}/"]
    try:
        first, last = map(hour_number, interval.hours)
    except ValueError:
        return services
    if last - first > _HOURS_BY_PREFIX:
        days = sorted({hour_text(hour)[:10] for hour in range(first, last + 1, 24)} | {hour_text(last)[:10]})
        return [f"{service}date={day}/" for service in services for day in days] if len(days) < 400 else services
    tails = [hour_prefix("x", hour_text(hour)).partition("/date=")[2] for hour in range(first, last + 1)]
    return [f"{service}date={tail}" for service in services for tail in tails]


def content(store: Store, name: EventsName) -> Iterator[bytes]:
    """Return an object's lines in blocks of whole lines. Raises ArchiveNotSound where its name says otherwise."""
    digest, rest = sha256(), b""
    for data in decompressed(store.get(name.key), name.suffix):
        digest.update(data)
        whole, newline, tail = data.rpartition(b"\n")
        if newline:
            yield rest + whole + newline
            rest = tail
        else:
            rest += data
    if rest or digest.hexdigest()[:12] != name.digest:
        raise ArchiveNotSound(f"{name.key}: its lines are not those that were archived")


def blocks(store: Store, interval: Interval, chosen: list[Found]) -> Iterator[bytes]:
    """Return the lines of these objects that lie in the interval, in blocks of whole lines."""
    for one in chosen:
        inside = interval.has_all_of(one.name.hour)
        for block in content(store, one.name):
            if inside:
                yield block
            elif kept := [line for line in block.splitlines(keepends=True) if _holds(interval, line)]:
                yield b"".join(kept)


def _holds(interval: Interval, line: bytes) -> bool:
    return interval.since <= _started_at(line).started_at < interval.until


def size_of(found: list[Found]) -> int:
    """Return how many bytes these objects take."""
    return sum(one.size for one in found)
