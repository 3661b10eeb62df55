"""What a service is put together from, besides observing and answering: the metrics engine and the archive."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from collector.config import Config, aws_environment
from collector.domain.audit import AuditSink
from collector.domain.bodies import Bodies
from collector.domain.ports import AuditReader
from collector.kernel import privileges
from collector.measuring import SharedEngine
from collector.metrics.engine import Engine


class KeptArchive(AuditSink, Protocol):
    """An archive that was opened as root: its writer starts once root is given up, and ends with the service."""

    @property
    def pids(self) -> tuple[int, ...]:
        """Processes of its own."""
        ...

    def start(self) -> object:
        """Begin to write."""
        ...

    def losses(self) -> dict[str, int]:
        """Return how many events were lost, by reason."""
        ...

    def close(self) -> object:
        """Write what waits, within a deadline."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What events go to besides the feed; what is absent is not served."""

    engine: SharedEngine | None = None
    open_archive: Callable[[], KeptArchive] | None = None
    archived: AuditReader | None = None
    bodies: Bodies | None = None  # beginnings of message bodies, for the archive


def assembled(config: Config, *, release: str) -> Parts:
    """Return the parts that the configuration asks for."""
    engine = SharedEngine(Engine(version=release))
    if config.audit == "off":
        return Parts(engine=engine)
    from collector.audit.archive import Archive
    from collector.audit.payloads import PayloadLines
    from collector.audit.reader import ArchiveReader
    from collector.audit.whereabouts import archive_settings, store_settings

    bodies = Bodies(config.audit_payload_bytes) if config.audit_payload_bytes else None
    encode = PayloadLines(bodies) if bodies else None
    return Parts(
        engine=engine,
        open_archive=lambda: Archive.open(archive_settings(config, privileges.account(config.user)), encode=encode),
        archived=ArchiveReader(store_settings(config), aws_environment()),
        bodies=bodies,
    )
