"""What a service is put together from, besides observing and answering: the metrics engine and the archive."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from collector.config import Config
from collector.domain.audit import AuditSink
from collector.domain.ports import AuditReader
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


def assembled(config: Config, *, release: str) -> Parts:  # noqa: ARG001  # the archive's settings are in there
    """Return the parts that the configuration asks for."""
    return Parts(engine=SharedEngine(Engine(version=release)))
