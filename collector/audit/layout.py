"""Names of objects: Hive partitions for events, one chain of manifests a writer. docs/specs/archive.md, "Layout"."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

ROOT: Final = "audit/v1/"
MANIFESTS: Final = ROOT + "manifests/"
KEYS: Final = ROOT + "keys/"
OWN_SERVICE: Final = "_archive"  # of what the archive itself has to say: losses
NO_SERVICE: Final = "_unknown"  # of events whose service is null
_EVENTS: Final = re.compile(
    ROOT + r"service=([^/]+)/date=(\d{4}-\d\d-\d\d)/hour=(\d\d)/([0-9a-f]{16})-(\d{16})-([0-9a-f]{12})\.jsonl\.(zst|gz)"
)
_MANIFEST: Final = re.compile(
    MANIFESTS + r"writer=([0-9a-f]{16})/date=(\d{4}-\d\d-\d\d)/\1-(\d{8})-\d{4}-\d\d-\d\dT\d\d\.sha256"
)


@dataclass(frozen=True, slots=True, order=True)
class EventsName:
    """What an events object's name says."""

    service: str
    hour: str  # `2026-11-21T07`
    writer: str
    first_seq: int
    digest: str  # first 12 digits of the SHA-256 of the uncompressed lines
    suffix: str  # zst or gz

    @property
    def key(self) -> str:
        """Return the name."""
        return (
            f"{hour_prefix(self.service, self.hour)}{self.writer}-{self.first_seq:016d}-{self.digest}"
            f".jsonl.{self.suffix}"
        )


def service_prefix(service: str) -> str:
    """Return where a service's objects lie."""
    return f"{ROOT}service={quote_service(service)}/"


def hour_prefix(service: str, hour: str) -> str:
    """Return where a service's objects of an hour lie."""
    date, _, clock = hour.partition("T")
    return f"{service_prefix(service)}date={date}/hour={clock}/"


def quote_service(service: str) -> str:
    """Return a service's name as part of a key; a name of a person's choice never looks like one of ours."""
    if service in (OWN_SERVICE, NO_SERVICE):
        return service
    quoted = quote(service[:128], safe="")
    quoted = "%5F" + quoted[1:] if quoted.startswith("_") else quoted
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted


def parse_events(key: str) -> EventsName | None:
    """Read a key back, or None where it is not the archive's."""
    found = _EVENTS.fullmatch(key)
    if not found:
        return None
    return EventsName(
        unquote(found[1]), f"{found[2]}T{found[3]}", found[4], int(found[5]), found[6], found[7]
    )  # fmt: skip


def manifest_key(writer: str, number: int, hour: str) -> str:
    """Return a manifest's name; its signature has `.sig` behind it."""
    return f"{MANIFESTS}writer={writer}/date={hour[:10]}/{writer}-{number:08d}-{hour}.sha256"


def parse_manifest(key: str) -> tuple[str, int] | None:
    """Return (writer, number) of a manifest's name, or None."""
    found = _MANIFEST.fullmatch(key)
    return (found[1], int(found[3])) if found else None
