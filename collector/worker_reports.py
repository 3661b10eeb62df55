"""What workers say of themselves: their snapshot URLs, asked once a second in a thread of its own."""

import http.client
import threading
from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from collector.domain.metrics import WorkerReport
from collector.errors import ConfigurationProblem

_EVERY_S: Final = 1.0
_PATIENCE_S: Final = 1.0
_LIMIT: Final = 1 << 16
_decode: Final = msgspec.json.Decoder(WorkerReport | list[WorkerReport]).decode


class WorkerReports:
    """Asks every configured worker; the newest answers wait until they are taken."""

    def __init__(self, workers: tuple[tuple[str, str], ...], log: Callable[..., None]) -> None:
        """Take (service, URL) pairs. Raises ConfigurationProblem."""
        self._workers = [(service, _checked(service, url)) for service, url in workers]
        self._log = log
        self._ended = threading.Event()
        self._newest: tuple[WorkerReport, ...] | None = None
        self._thread = threading.Thread(target=self._run, name="workers", daemon=True)

    def start(self) -> None:
        """Begin to ask, where there is somebody."""
        if self._workers:
            self._thread.start()

    def take(self) -> tuple[WorkerReport, ...] | None:
        """Return what came since the last time, None where nothing did."""
        found, self._newest = self._newest, None
        return found

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self._newest = tuple(report for service, url in self._workers for report in self._ask(service, url))

    def _ask(self, service: str, url: SplitResult) -> list[WorkerReport]:
        try:
            found = _decode(_fetch(url))
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as problem:
            self._log("warning", "worker_not_asked", service=service, error=str(problem))
            return []
        reports = found if isinstance(found, list) else [found]
        return [msgspec.structs.replace(report, service=service) for report in reports]


def _fetch(url: SplitResult) -> bytes:
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", url.path or "/", headers={"accept": "application/json"})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"answered {answer.status}")
        return answer.read(_LIMIT)
    finally:
        connection.close()


def _checked(service: str, url: str) -> SplitResult:
    try:
        found = urlsplit(url)
        fits = found.scheme == "http" and found.hostname and not found.query and (found.port or 80)
    except ValueError:
        fits = False
    if not fits:
        raise ConfigurationProblem(f"workers: {service}={url!r} must be http://HOST:PORT/PATH")
    return found
