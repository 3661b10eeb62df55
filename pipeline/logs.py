"""Structured logs: one JSON object a line on standard error, a constant event name and fields."""

import logging
import sys
from typing import Final

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _encode(event: object, **_: object) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)


def logger(level: str) -> FilteringBoundLogger:
    """Return a logger that writes events of this level and above."""
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.BytesLogger(sys.stderr.buffer),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_encode),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
    )
    return log


class _Forward(logging.Handler):
    """Writes what libraries log as our events."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = str(record.exc_info[1]) if record.exc_info and record.exc_info[1] else None
        self._log.log(record.levelno, "library_log", logger=record.name, message=record.getMessage(), error=error)


def forward_libraries(log: FilteringBoundLogger) -> None:
    """Have warnings and errors of libraries appear among our events."""
    root = logging.getLogger()
    root.handlers = [_Forward(log)]
    root.setLevel(logging.WARNING)
