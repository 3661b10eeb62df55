"""Columns in the terminal: readable at any rate. Sampled on a screen, whole in a pipe, exact in the totals."""

import os
import shutil
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

from collector.cli.output import LineWriter, totals, with_drops
from collector.domain.events import Exchange, Summary
from collector.domain.watching import Told
from collector.stderr import say

_SCREEN_LINES_PER_S: Final = 60
_WINDOW_NS: Final = 500_000_000
_ROOM: Final = _SCREEN_LINES_PER_S * _WINDOW_NS // 1_000_000_000
_ROUTE_WIDTH: Final = 32
_KEPT: Final = 1_000  # events held between two looks; beyond, only the foremost
_RED, _YELLOW, _DIM, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
_RANK: Final = {"error": 0, "warning": 1, "info": 2}


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 1000 else f"{value:.0f}"


def _status(event: Told) -> str:
    code = event.status_code if isinstance(event, Exchange) and event.outcome in ("ok", "http_error") else None
    return str(code or event.outcome or "open")


class Column(NamedTuple):
    """One column; `give_up`: the higher, the sooner a narrow screen goes without it, 0 never."""

    name: str
    width: int
    side: Literal["<", ">"]  # where its text stands
    give_up: int
    text: Callable[[Told], str]
    exchange: Callable[[Exchange], str] | None = None  # of exchanges, where that differs

    def cell(self, event: Told) -> str:
        """Return what stands here."""
        if self.exchange and isinstance(event, Exchange):
            return self.exchange(event)
        return self.text(event)


_TIME: Final = Column("TIME", 15, "<", 3, lambda e: e.started_at[11:26])
_USUAL: Final = (
    Column("PID", 7, ">", 4, lambda e: str(e.pid or "-")),
    Column("COMM", 15, "<", 6, lambda e: e.comm or "-"),
    Column("LADDR", 15, "<", 9, lambda e: e.local_ip),
    Column("LPORT", 5, ">", 10, lambda e: str(e.local_port)),
    Column("RADDR", 15, "<", 5, lambda e: e.peer_ip),
    Column("RPORT", 5, ">", 2, lambda e: str(e.peer_port)),
    Column("METHOD", 7, "<", 0, lambda _: "-", lambda e: e.method or "-"),
    Column("ROUTE", 32, "<", 0, lambda _: "-", lambda e: e.route or "-"),
    Column("STATUS", 15, "<", 0, _status),
    Column("MS", 8, ">", 0, lambda e: _ms(e.elapsed_ms)),
    Column("ROLE", 6, "<", 7, lambda e: e.role or "-"),
)
_WIDE: Final = (
    Column("WAIT", 8, ">", 0, lambda _: "", lambda e: _ms(e.wait_ms)),
    Column("READDLY", 8, ">", 0, lambda _: "", lambda e: _ms(e.read_delay_ms)),
    Column("TRY", 3, ">", 0, lambda _: "", lambda e: str(e.attempt)),
    Column("OUTCOME", 15, "<", 0, lambda _: "", lambda e: e.outcome or "open"),
    Column("SERVICE", 16, "<", 0, lambda _: "", lambda e: e.service or "-"),
    Column("TRACE", 0, "<", 0, lambda _: "", lambda e: e.trace_id or "-"),
)
_NARROW_ROUTE: Final = 16


def fitted(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns that a screen of so many characters has room for, the route as narrow as need be."""
    chosen = list(columns)
    spare = {"ROUTE": _ROUTE_WIDTH - _NARROW_ROUTE, "STATUS": 9}
    while _needed(chosen) - sum(spare.values()) > width and (least := max(chosen, key=lambda one: one.give_up)).give_up:
        chosen.remove(least)
    for name, most in spare.items():
        at = next(place for place, one in enumerate(chosen) if one.name == name)
        cut = min(most, max(0, _needed(chosen) - width))
        chosen[at] = chosen[at]._replace(width=chosen[at].width - cut)
    return chosen


def _needed(columns: Sequence[Column]) -> int:
    return sum(one.width + 1 for one in columns) - 1


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
        screen_width: Callable[[], int] | None = None,
        descriptor: int = 1,
    ) -> None:
        self._writer = LineWriter(queue_lines, descriptor)
        self._all = ((_TIME,) if with_time else ()) + _USUAL + (_WIDE if wide else ())
        self._columns: Sequence[Column] = self._all
        self._width = 0
        self._wide = wide
        self._screen = screen
        self._screen_width = screen_width
        self._colour = colour
        self._window: list[Told] = []
        self._hidden = 0
        self._window_ends = 0

    def ready(self, line: str) -> None:
        """Say on stderr that events will be seen; then the header of the columns."""
        say(line)
        if not self._fit():
            self._put([self._header()])

    def _fit(self) -> bool:
        """On a screen, choose what there is room for; a new width gets a new header. Tell whether it did."""
        width = self._screen_width() if self._screen and self._screen_width and not self._wide else 0
        if width == self._width:
            return False
        self._width = width
        self._columns = fitted(self._all, width)
        self._put([self._header()])
        return True

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
        self._fit()
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
        return " ".join(_aligned(one.name, one) for one in self._columns).rstrip()

    def _line(self, event: Told) -> str:
        cells = [one.cell(event) for one in self._columns]
        if self._screen and not self._wide:  # -w, a pipe and --json have everything whole
            cells = [_cut(text, one.width) for text, one in zip(cells, self._columns, strict=True)]
        text = " ".join(_aligned(text, one) for text, one in zip(cells, self._columns, strict=True)).rstrip()
        text = "".join(letter if letter.isprintable() else "?" for letter in text)  # the wire may hold escapes
        if self._colour and event.severity != "info":
            return f"{_RED if event.severity == 'error' else _YELLOW}{text}{_PLAIN}"
        return text


def _aligned(text: str, column: Column) -> str:
    return text.rjust(column.width) if column.side == ">" else text.ljust(column.width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}\u2026"


def for_terminal(queue_lines: int, *, with_time: bool, wide: bool, no_colour: bool) -> ColumnSink:
    """Return the sink that fits where stdout goes."""
    screen = os.isatty(1)
    return ColumnSink(
        queue_lines,
        with_time=with_time,
        wide=wide,
        screen=screen,
        colour=screen and not no_colour,
        screen_width=lambda: shutil.get_terminal_size().columns,
    )
