"""One TCP connection understood as HTTP/1.x: requests in a queue, responses answered to its head.

Sans I/O: calls go in, completed exchanges go to `tell`. RFC 9112 sections 6 and 9; outcomes as in docs/specs/watch.md.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from collector.correlate import endings
from collector.correlate.pending import Endpoint, Pending
from collector.correlate.side import BODY, CHUNKS, CLOSE, HELD_LIMIT, LOST, START, Side
from collector.domain.bodies import Kept
from collector.domain.observed import (
    LENGTHS_ONLY,
    NOTHING_MORE,
    Caller,
    Changed,
    ChangeKind,
    Direction,
    Moved,
    MovedFlag,
)
from collector.wire import chunked
from collector.wire.chunked import ChunkedReader
from collector.wire.head import (
    HEAD_LIMIT,
    head_end,
    is_request_line,
    is_status_line,
    may_be_request,
    may_be_response,
)
from collector.wire.message import Head

if TYPE_CHECKING:
    from collector.correlate.correlator import Correlator

_HOLD_NS: Final = 50_000_000
_LATE_NS: Final = 250_000_000  # how long an early answer waits for the rest of its request
_PENDING_LIMIT: Final = 1024
_HINT_FROM: Final = 16_384  # bytes of body still to come that are worth telling the kernel of

HTTP: Final = "http"
TUNNEL: Final = "tunnel"
NOT_HTTP: Final = "not_http"
STOPPED: Final = "stopped"  # where a message ends is unknown: nothing after it is guessed


class Connection:
    """The state of one connection, by the socket's cookie. Keeps no payload beyond the call that brought it."""

    __slots__ = (
        "caller",
        "connect_ns",
        "cookie",
        "correlator",
        "current",
        "end",
        "established_ns",
        "exchanges",
        "facts",
        "first_tid",
        "joined",
        "late",
        "min_rtt_us",
        "mode",
        "name",
        "number",
        "opened_at",
        "peer_end",
        "peer_finished",
        "pending",
        "pipelined",
        "requests",
        "reset",
        "retransmits",
        "sides",
        "spoke",
        "srtt_us",
        "unasked_at",
    )

    def __init__(self, correlator: "Correlator", cookie: int, at_ns: int, *, joined: bool) -> None:
        self.correlator = correlator
        self.cookie = cookie
        self.name = correlator.connection_name(cookie)  # what the IDs of its events begin with
        self.joined = joined
        self.mode = HTTP
        self.sides = (Side(lost=joined), Side(lost=joined))
        self.requests: int | None = None  # the direction in which requests go
        self.pending: deque[Pending] = deque()
        self.current: Pending | None = None  # the request whose bytes are being moved
        self.late: Pending | None = None  # answered before all of it had moved
        self.number = 0
        self.exchanges = 0
        self.spoke = False  # HTTP was seen
        self.pipelined = False  # a request was sent before the one in front of it was answered
        self.unasked_at = 0  # when an answer came to a request that was not seen
        self.connect_ns = 0
        self.established_ns = 0
        self.opened_at = at_ns
        self.peer_end = -1
        self.peer_finished = False
        self.reset = False
        self.end: Endpoint | None = None  # who moved bytes last,
        self.caller: Caller | None = None  # and what the kernel said of it
        self.first_tid = 0
        self.srtt_us = 0
        self.min_rtt_us = 0
        self.retransmits = 0
        self.facts: Changed | None = None

    def first_offsets(self, moved: Moved) -> None:
        """Where the first sight is a call and what came before is lost: its streams begin there."""
        if self.joined:
            self.sides[moved.direction].expected = moved.offset

    def opened_with(self, change: Changed) -> None:
        """Where the first sight is not the opening: streams begin at the kernel's counts."""
        if change.kind != ChangeKind.OPENED and not self.joined and (change.sent_bytes or change.received_bytes):
            for side, count in zip(self.sides, (change.sent_bytes, change.received_bytes), strict=True):
                side.lose()
                side.expected = count

    def reached(self, change: Changed) -> None:
        """Take the kernel's own counts of bytes, for what moved without a record."""
        self.sides[Direction.SENT].reached(change.sent_bytes)
        self.sides[Direction.RECEIVED].reached(change.received_bytes)

    @property
    def is_client(self) -> bool:
        """Tell whether the observed end sends the requests."""
        return self.requests == Direction.SENT

    def endpoint(self, caller: Caller) -> Endpoint:
        """Return who moved bytes."""
        end = self.end
        if caller is not self.caller or end is None:
            self.caller = caller
            if (
                end is None
                or end.pid != caller.pid
                or end.exec_id != caller.exec_id
                or end.started_ns != caller.started_ns
            ):
                end = self.end = self.correlator.endpoint(caller)
        return end

    # -- bytes -----------------------------------------------------------------------------------------------------

    def moved(self, moved: Moved) -> None:
        """Take one call's bytes."""
        side = self.sides[moved.direction]
        self.srtt_us = moved.srtt_us
        self.min_rtt_us = moved.min_rtt_us
        self.retransmits = moved.retransmits
        if self.end is None:
            self.endpoint(moved.caller)
            self.first_tid = moved.caller.tid
        if side.held or moved.offset != side.expected:
            self._reorder(side, moved)
        else:
            self._take(side, moved, moved.offset)
        if self.peer_end >= 0 and self.sides[Direction.RECEIVED].expected >= self.peer_end:
            endings.peer_ended(self, moved.at_ns)

    def _reorder(self, side: Side, moved: Moved) -> None:
        """Two threads on one socket: the later call's record may come first, the earlier one's offset is then off."""
        if not side.held:
            self._out_of_place(side, moved)
            return
        if side.is_overtaken(moved):
            self._take(side, moved, side.expected)
        elif moved.offset == side.expected:
            self._take(side, moved, moved.offset)
        else:
            side.hold(moved)
        while side.held and side.hole() <= 0:
            following = side.held.pop(0)
            self._take(side, following, side.expected)
        if len(side.held) > HELD_LIMIT:
            self._give_up_hole(side)

    def _out_of_place(self, side: Side, moved: Moved) -> None:
        behind = side.expected - moved.offset
        if behind > 0:
            if moved.length > behind:  # what is new of it
                self._take(side, moved, moved.offset)
        elif self.mode != HTTP or side.may_jump_to(moved.offset):
            self._jump(side, moved)
        else:
            side.hold(moved)
            self._wait()

    def _jump(self, side: Side, moved: Moved) -> None:
        side.expected = moved.offset
        if self.mode == HTTP and side.state == BODY and side.expected >= side.until:
            self._body_done(side, moved.at_ns, side.until)
        self._take(side, moved, moved.offset)

    def _give_up_hole(self, side: Side) -> None:
        """The missing call will not come: a measured gap.

        What was held is taken late: its place among the calls of the other direction shows in their times only.
        """
        held, side.held = side.held, []
        other = self.sides[1] if side is self.sides[0] else self.sides[0]
        self.gap(held[0].at_ns)
        if self.unasked_at <= side.last_at:  # no sign that what was lost has been answered: no turn yet
            side.last_at = max(side.last_at, other.last_at)
        for moved in held:
            side.expected = moved.offset
            self._take(side, moved, moved.offset)

    def gap(self, at_ns: int) -> None:
        """Bytes were lost where they mattered: what was under way cannot be told right; start anew at the next turn."""
        self.tell_late()
        while self.pending:
            self.tell(self.pending.popleft(), "gap", at_ns)
        self.lose_all()

    def lose_all(self) -> None:
        """Nothing is under way, and nothing is certain until the next turn."""
        self.current = None
        for side in self.sides:
            side.lose()

    def _take(self, side: Side, moved: Moved, offset: int) -> None:
        skip = side.expected - offset
        side.expected = offset + moved.length
        if self.mode is HTTP:
            if side.state == LOST and not self._resynchronise(side, moved):
                self._stand_lost(side, moved)
            else:
                if self.requests is None:
                    self.requests = moved.direction
                self._read(side, moved, offset, max(0, skip), is_request=moved.direction == self.requests)
        side.last_at = moved.at_ns

    def _stand_lost(self, side: Side, moved: Moved) -> None:
        if moved.direction == self.requests:
            if self.current is not None and self.current.inferred:
                self.current.sent_at = moved.at_ns
        elif not self.pending:
            self.unasked_at = moved.at_ns
        elif self.pending[0].drains:
            self.pending[0].response_last_at = moved.at_ns
            self.pending[0].response_end = side.expected

    def _resynchronise(self, side: Side, moved: Moved) -> bool:
        """A whole plausible start line at the start of a turn is certain enough.

        A turn: bytes moved the other way since the last ones this way, and none after these.
        """
        other = self.sides[1 - moved.direction]
        turned = side.last_at < other.last_at <= moved.at_ns or not (side.last_at or other.last_at)
        if not turned or self.pipelined:
            return False
        if self.requests is None or moved.direction == self.requests:
            if not is_request_line(moved.payload):
                return False
            self.drain(moved.at_ns)
            self.requests = moved.direction
        elif not self.pending or self.pending[0].drains or not is_status_line(moved.payload):
            return False
        side.state = START
        return True

    def drain(self, at_ns: int) -> None:
        """Tell responses whose end could not be read: they have ended when the next request begins."""
        while self.pending and self.pending[0].drains:
            waiting = self.pending.popleft()
            outcome = ("ok" if waiting.status < 400 else "http_error") if waiting.inferred else None
            self.tell(waiting, outcome, waiting.response_last_at or at_ns)

    # -- messages --------------------------------------------------------------------------------------------------

    def _read(self, side: Side, moved: Moved, offset: int, position: int, *, is_request: bool) -> None:
        length = moved.length
        captured = len(moved.payload)
        while position < length and side.state != LOST and self.mode is HTTP:
            state = side.state
            if state != START and self.correlator.body_limit:
                self._keep(side, moved, offset, position, is_request=is_request)
            if state == START:
                if position >= captured:
                    self._head_not_captured(moved, is_request=is_request)
                    return
                position = self._head(side, moved, offset, position, is_request=is_request)
            elif state == BODY:
                left = side.until - (offset + position)
                if left > length - position:
                    return
                position += left
                self._body_done(side, moved.at_ns, side.until)
            elif state == CLOSE:
                return
            else:
                position = self._chunks(side, moved, offset, position)

    def _keep(self, side: Side, moved: Moved, offset: int, position: int, *, is_request: bool) -> None:
        """Keep the beginning of a body for the archive."""
        message = self.current if is_request else (self.pending[0] if self.pending else None)
        if message is None:
            return
        kept = message.request_body if is_request else message.response_body
        if kept is not None:
            stop = min(len(moved.payload), side.until - offset) if side.state == BODY else len(moved.payload)
            kept.take(offset + position, moved.payload[position:stop], self.correlator.body_limit)

    def _head_not_captured(self, moved: Moved, *, is_request: bool) -> None:
        unreadable = moved.flags & (MovedFlag.UNREADABLE | MovedFlag.FAULT | MovedFlag.DISCARDED)
        if not self.spoke and unreadable and is_request and not self.pending:
            self.sides[0].lose()
            self.sides[1].lose()
            return
        self.gap(moved.at_ns)

    def _chunks(self, side: Side, moved: Moved, offset: int, position: int) -> int:
        reader = side.chunks
        if reader is None:
            raise AssertionError("a chunked body has its reader")
        captured = len(moved.payload)
        if position >= captured:
            if not reader.skip(moved.length - position):
                self._lose_chunks(side, moved)
            return moved.length
        position = reader.read(moved.payload, position)
        if reader.state == chunked.DONE:
            self._body_done(side, moved.at_ns, offset + position)
        elif reader.state == chunked.BAD:
            self._endless(side, moved, "transfer-encoding")
            return moved.length
        elif reader.state == chunked.DATA and reader.left > _HINT_FROM:
            self.correlator.hint(self.cookie, moved.direction, offset + position + reader.left)
        return position

    def _lose_chunks(self, side: Side, moved: Moved) -> None:
        """Chunk sizes deep in a long call were not captured: the message ends with its turn, which is inferred."""
        side.lose()
        if moved.direction == self.requests:
            if self.current is not None:
                self.current.inferred = True
                self.current.sent_at = moved.at_ns
        elif self.pending:
            self.pending[0].drains = self.pending[0].inferred = True
            self.pending[0].response_last_at = moved.at_ns
            self.pending[0].response_end = side.expected
            self._wait()

    def _endless(self, side: Side, moved: Moved, field: str) -> None:
        """Where this message ends cannot be known: what was read stands, nothing after it is guessed."""
        is_request = moved.direction == self.requests
        message = self.current if is_request else (self.pending[0] if self.pending else None)
        side.lose()
        if message is not None:
            message.endless = True
            if field not in message.invalid:
                message.invalid = (*message.invalid, field)
        if not is_request:
            self._stop(moved.at_ns)

    def _stop(self, at_ns: int) -> None:
        self.tell_late()
        while self.pending:
            waiting = self.pending.popleft()
            waiting.response_last_at = waiting.response_last_at or at_ns
            self.tell(waiting, None, at_ns)
        self.mode = STOPPED
        self._mute()

    def _mute(self) -> None:
        for direction in Direction:
            self.correlator.hint(self.cookie, direction, NOTHING_MORE)

    def _head(self, side: Side, moved: Moved, offset: int, position: int, *, is_request: bool) -> int:
        """Read a head at `position`; return where what follows begins."""
        data = moved.payload
        if side.buffer:
            before = len(side.buffer)
            text = side.buffer + data[position:]
            first, start = side.first or moved, side.buffer_start
        else:
            if is_request:
                while data.startswith((b"\r", b"\n"), position) and data.startswith((b"\r\n", b"\n"), position):
                    position += 2 if data.startswith(b"\r", position) else 1
                if position >= len(data):
                    return position
            before, first, start = 0, moved, offset + position
            text = data[position:] if position else data
        end = head_end(text)
        if end < 0 or end > HEAD_LIMIT:
            self._unfinished_head(side, moved, text, first, start, is_request=is_request)
            return moved.length
        if before:
            side.buffer, side.first = b"", None
        after = position + end - before
        if is_request:
            head = self.correlator.heads.request(text[:end])
            if head is not None:
                self._request(side, head, first, start, offset + after, moved)
                return after
        else:
            head = self.correlator.heads.response(text[:end])
            if head is not None:
                self._response(side, head, first, start, offset + after, moved)
                return after
        self._malformed(moved)
        return moved.length

    def _unfinished_head(  # noqa: PLR0913  # where the head stands, and in which calls
        self, side: Side, moved: Moved, text: bytes, first: Moved, start: int, *, is_request: bool
    ) -> None:
        if not (may_be_request(text) if is_request else may_be_response(text)):
            self._malformed(moved)
            return
        if len(text) < HEAD_LIMIT and len(moved.payload) >= moved.length:
            side.buffer, side.buffer_start, side.first = text, start, first
            return
        parser = self.correlator.heads
        cut = text[:HEAD_LIMIT]
        head = parser.request(cut, truncated=True) if is_request else parser.response(cut, truncated=True)
        side.lose()
        if head is None:
            self._malformed(moved)
        elif is_request:
            self._request(side, head, first, start, side.expected, moved)
        else:
            self._response(side, head, first, start, side.expected, moved)

    def _malformed(self, moved: Moved) -> None:
        """No HTTP from the first byte on: another protocol. Later on: lost until the next plausible turn."""
        if self.spoke or self.joined:
            self.correlator.count_loss("wire", "malformed_head")
            self.gap(moved.at_ns)
            return
        self.mode = NOT_HTTP
        self.correlator.not_http += 1
        self._mute()

    # -- requests --------------------------------------------------------------------------------------------------

    def _request(  # noqa: PLR0913, PLR0917  # where the head stands, and in which calls
        self, side: Side, head: Head, first: Moved, start: int, body: int, moved: Moved
    ) -> None:
        self.spoke = True
        if self.pending:
            self.drain(moved.at_ns)
            if len(self.pending) >= _PENDING_LIMIT:
                self.correlator.count_loss("correlate", "too_many_pending")
                self.gap(moved.at_ns)
                return
        self.number += 1
        pending = Pending(self.number, head, start, self.endpoint(first.caller))
        pending.tid, pending.begun_at, pending.retransmits = first.caller.tid, first.at_ns, first.retransmits
        if first.offset == start:
            pending.ready_at = first.ready_ns
        identifiers = head.identifiers
        if (identifiers.idempotency_key or identifiers.request_id) and self.is_client:
            self.correlator.begin_attempt(self, pending)
        self.pending.append(pending)
        self.current = pending
        if head.truncated:
            pending.sent_at = moved.at_ns
        elif head.chunked:
            side.state, side.chunks = CHUNKS, ChunkedReader()
        elif head.unknown_coding or head.length == -2:
            pending.endless = True
            pending.sent_at = moved.at_ns
            side.lose()
        elif head.length > 0:
            self._expect_body(side, moved, body, head.length)
        else:
            self._body_done(side, moved.at_ns, body)
        if self.correlator.body_limit and side.state in (BODY, CHUNKS):
            pending.request_body = Kept(body, chunked=head.chunked)

    def _expect_body(self, side: Side, moved: Moved, body: int, length: int) -> None:
        side.state, side.until = BODY, body + length
        if side.until - side.expected > _HINT_FROM:
            self.correlator.hint(self.cookie, moved.direction, side.until)

    def _body_done(self, side: Side, at_ns: int, end: int) -> None:
        side.state = START
        side.chunks = None
        if side is self.sides[self.requests or 0]:
            current = self.current
            if current is not None:
                current.request_end = end
                current.sent_at = at_ns
                self.current = None
                if self.late is not None:
                    self.tell_late()
        else:
            pending = self.pending.popleft()
            if self.pending:
                self.pipelined = True
            pending.response_end = end
            pending.response_last_at = at_ns
            self.complete(pending)

    # -- responses -------------------------------------------------------------------------------------------------

    def _response(  # noqa: PLR0913, PLR0917  # where the head stands, and in which calls
        self, side: Side, head: Head, first: Moved, start: int, body: int, moved: Moved
    ) -> None:
        if not self.pending:
            side.lose()  # an answer to nothing that was seen
            self.unasked_at = moved.at_ns
            return
        pending = self.pending[0]
        if pending is self.current and pending.inferred:
            self.current, pending.request_end = None, self.sides[self.requests or 0].expected
        if pending.response_start < 0:
            pending.response_start = start
        status = head.status
        if 100 <= status < 200 and status != 101:
            return
        pending.status = status
        pending.version = head.version
        if head.invalid:
            pending.invalid = (*pending.invalid, *(name for name in head.invalid if name not in pending.invalid))
        pending.response_first_at = first.at_ns
        pending.response_ready = first.ready_ns if first.offset == start else 0
        self._frame_response(side, head, pending, body, moved)

    def _frame_response(self, side: Side, head: Head, pending: Pending, body: int, moved: Moved) -> None:
        status, method = head.status, pending.head.method
        if head.truncated:
            pending.truncated = pending.drains = True
            pending.response_last_at, pending.response_end = moved.at_ns, side.expected
        elif status == 101 or (method == "CONNECT" and 200 <= status < 300):
            pending.response_end, pending.response_last_at = body, moved.at_ns
            self.pending.popleft()
            self.tell(pending, "tunnel", moved.at_ns)
            self.mode = TUNNEL
            self._mute()
        elif method == "HEAD" or status in (204, 304):
            self._body_done(side, moved.at_ns, body)
        elif head.chunked:
            side.state, side.chunks = CHUNKS, ChunkedReader()
        elif head.unknown_coding or head.length == -2:
            self._endless(side, moved, "transfer-encoding" if head.unknown_coding else "content-length")
        elif head.length > 0:
            self._expect_body(side, moved, body, head.length)
        elif head.length == 0:
            self._body_done(side, moved.at_ns, body)
        else:
            side.state = CLOSE
            self.correlator.hint(self.cookie, moved.direction, LENGTHS_ONLY)
        if self.correlator.body_limit and side.state in (BODY, CHUNKS, CLOSE):
            pending.response_body = Kept(body, chunked=head.chunked)

    def complete(self, pending: Pending) -> None:
        """Take that the answer is whole. Of an early answer's request the rest may still come, and is counted."""
        if pending is self.current and not pending.endless:
            self.tell_late()
            self.late = pending
            self._wait()
            return
        self._tell_complete(pending)

    def tell_late(self) -> None:
        """Tell the exchange that was answered early as it stands now."""
        pending, self.late = self.late, None
        if pending is not None:
            self._tell_complete(pending)

    def _tell_complete(self, pending: Pending) -> None:
        self.tell(pending, "ok" if pending.status < 400 else "http_error", pending.response_last_at)
        if pending.endless:
            self._stop(pending.response_last_at)

    def tell(self, pending: Pending, outcome: str | None, at_ns: int) -> None:
        """Tell an exchange that ended at `at_ns`."""
        if pending.truncated and outcome in ("ok", "http_error", None):
            outcome = "truncated"
        elif pending.endless and outcome in ("ok", "http_error"):
            outcome = None
        self.exchanges += 1
        self.correlator.tell(self, pending, outcome, at_ns)

    # -- waiting ---------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        self.correlator.waiting[self.cookie] = self

    def flush(self) -> None:
        """Stop waiting for calls that are missing."""
        for side in self.sides:
            if side.held:
                self._give_up_hole(side)

    def expire(self, now_ns: int) -> bool:
        """Give up holes that stay, and the rest of requests that were answered early. Tell whether to ask again."""
        if self.late is not None and now_ns - self.late.response_last_at > _LATE_NS:
            self.tell_late()
        waiting = self.pending[0] if self.pending else None
        if waiting and waiting.inferred and waiting.drains and now_ns - waiting.response_last_at > _LATE_NS:
            self.drain(now_ns)
        for side in self.sides:
            if side.held and now_ns - side.held[0].at_ns > _HOLD_NS:
                self._give_up_hole(side)
        drains = bool(self.pending and self.pending[0].inferred and self.pending[0].drains)
        return drains or self.late is not None or any(side.held for side in self.sides)
