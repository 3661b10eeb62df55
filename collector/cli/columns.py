"""Columns in the terminal: readable at any rate. Sampled on a screen, whole in a pipe, exact in the totals."""

import os
from collections.abc import Sequence
from typing import Final

from collector.cli.output import LineWriter, say, totals, with_drops
from collector.domain.events import Exchange, Summary
from collector.domain.watching import Told

_SCREEN_LINES_PER_S: Final = 60
_WINDOW_NS: Final = 500_000_000
_ROOM: Final = _SCREEN_LINES_PER_S * _WINDOW_NS // 1_000_000_000
_ROUTE_WIDTH: Final = 32
_KEPT: Final = 1_000  # events held between two looks; beyond, only the foremost
_RED, _YELLOW, _DIM, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
_RANK: Final = {"error": 0, "warning": 1, "info": 2}


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 1000 else f"{value:.0f}"


def _foremost(events: list[Told]) -> list[Told]:
    """Return those that a screen has room for: errors, then warnings, then the slowest; in their own order."""
    chosen = sorted(events, key=lambda one: (_RANK[one.severity], -(one.elapsed_ms or 0)))[:_ROOM]
    return sorted(chosen, key=lambda one: one.seq)


class ColumnSink:
    """Writes one line per event; on a terminal at most some each second, errors and slow ones first."""

    def __init__(  # noqa: PLR0913  # what the options say
        self,
        queue_lines: int,
        *,
        with_time: bool = False,
        wide: bool = False,
        screen: bool = False,
        colour: bool = False,
        descriptor: int = 1,
    ) -> None:
        self._writer = LineWriter(queue_lines, descriptor)
        self._with_time = with_time
        self._wide = wide
        self._screen = screen
        self._colour = colour
        self._window: list[Told] = []
        self._hidden = 0
        self._window_ends = 0

    def ready(self, line: str) -> None:
        """Say on stderr that events will be seen; then the header of the columns."""
        say(line)
        self._put([self._header()])

    def warn(self, line: str) -> None:
        """Say it on stderr."""
        say(line)

    def emit(self, events: Sequence[Told]) -> None:
        """Take new events."""
        if not self._screen:
            self._put([self._line(event) for event in events[: self._writer.admit(len(events))]])
            return
        self._window.extend(events)
        if len(self._window) > _KEPT:
            self._hidden += len(self._window) - _ROOM
            self._window = _foremost(self._window)

    def tick(self, now_ns: int) -> bool:
        """Show a window of events once it is full or over."""
        if self._window and now_ns >= self._window_ends:
            self._show()
            self._window_ends = now_ns + _WINDOW_NS
        return not self._writer.broken

    def _show(self) -> None:
        hidden = self._hidden + max(0, len(self._window) - _ROOM)
        chosen = _foremost(self._window) if hidden else self._window
        self._window, self._hidden = [], 0
        lines = [self._line(event) for event in chosen]
        if hidden:
            more = f"... {hidden:,} more"
            lines.append(f"{_DIM}{more}{_PLAIN}" if self._colour else more)
        self._put(lines[: self._writer.admit(len(lines))])

    def _put(self, lines: list[str]) -> None:
        self._writer.put("".join(f"{line}\n" for line in lines).encode(), len(lines))

    def finish(self, summary: Summary) -> None:
        """Write what is left and the totals."""
        if self._window:
            self._show()
        try:
            self._writer.close()
        finally:
            say(totals(with_drops(summary, self._writer.dropped)))

    def _header(self) -> str:
        time = f"{'TIME':<15} " if self._with_time else ""
        wide = f" {'WAIT':>8} {'READDLY':>8} {'TRY':>3} {'OUTCOME':<15} {'SERVICE':<16} TRACE" if self._wide else ""
        return (
            f"{time}{'PID':>7} {'COMM':<15} {'LADDR':<15} {'LPORT':>5} {'RADDR':<15} {'RPORT':>5} "
            f"{'METHOD':<7} {'ROUTE':<{_ROUTE_WIDTH}} {'STATUS':<15} {'MS':>8} {'ROLE':<6}{wide}".rstrip()
        )

    def _line(self, event: Told) -> str:
        time = f"{event.started_at[11:26]} " if self._with_time else ""
        method, route = "-", "-"
        status: str = event.outcome or "open"
        if isinstance(event, Exchange):
            method, route = event.method or "-", event.route or "-"
            status = str(event.status_code) if event.outcome in ("ok", "http_error") else status
        if self._screen and not self._wide and len(route) > _ROUTE_WIDTH:
            route = f"{route[: _ROUTE_WIDTH - 1]}\u2026"  # -w, a pipe and --json have it whole
        text = (
            f"{time}{event.pid or '-':>7} {event.comm or '-':<15} {event.local_ip:<15} "
            f"{event.local_port:>5} {event.peer_ip:<15} {event.peer_port:>5} {method:<7} "
            f"{route:<{_ROUTE_WIDTH}} {status:<15} {_ms(event.elapsed_ms):>8} {event.role or '-':<6}"
        )
        if self._wide and isinstance(event, Exchange):
            text += (
                f" {_ms(event.wait_ms):>8} {_ms(event.read_delay_ms):>8} {event.attempt:>3} "
                f"{event.outcome or 'open':<15} {event.service or '-':<16} {event.trace_id or '-'}"
            )
        text = "".join(letter if letter.isprintable() else "?" for letter in text)  # the wire may hold escapes
        if self._colour and event.severity != "info":
            return f"{_RED if event.severity == 'error' else _YELLOW}{text}{_PLAIN}"
        return text


def for_terminal(queue_lines: int, *, with_time: bool, wide: bool, no_colour: bool) -> ColumnSink:
    """Return the sink that fits where stdout goes."""
    screen = os.isatty(1)
    return ColumnSink(queue_lines, with_time=with_time, wide=wide, screen=screen, colour=screen and not no_colour)
