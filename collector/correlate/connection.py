"""One TCP connection understood as HTTP/1.x: requests in a queue, responses answered to its head.

Sans I/O: calls go in, completed exchanges go to `tell`. RFC 9112 sections 6 and 9; outcomes as in docs/specs/watch.md.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from collector.correlate.pending import Endpoint, Pending
from collector.correlate.side import BODY, CHUNKS, CLOSE, HELD_LIMIT, LOST, START, Side
from collector.domain.observed import Changed, ChangeFlag, ChangeKind, Direction, Moved, MovedFlag
from collector.wire import chunked
from collector.wire.chunked import ChunkedReader
from collector.wire.head import HEAD_LIMIT, Head, head_end, is_request_line, may_be_request, may_be_response

if TYPE_CHECKING:
    from collector.correlate.correlator import Correlator

_HOLD_NS: Final = 50_000_000
_LATE_NS: Final = 250_000_000  # how long an early answer waits for the rest of its request
_PENDING_LIMIT: Final = 1024
_HINT_FROM: Final = 16_384  # bytes of body still to come that are worth telling the kernel of
_GIVE_UP_NS: Final = 1_000_000
FOR_EVER: Final = (1 << 64) - 1

HTTP: Final = "http"
TUNNEL: Final = "tunnel"
NOT_HTTP: Final = "not_http"
STOPPED: Final = "stopped"  # where a message ends is unknown: nothing after it is guessed


class Connection:
    """The state of one connection, by the socket's cookie."""

    __slots__ = (
        "closed",
        "connect_ns",
        "cookie",
        "correlator",
        "current",
        "established_ns",
        "exchanges",
        "facts",
        "first",
        "identified",
        "joined",
        "last",
        "last_direction",
        "late",
        "local_finished",
        "mode",
        "number",
        "opened_at",
        "peer_end",
        "peer_finished",
        "pending",
        "requests",
        "reset",
        "sides",
        "spoke",
    )

    def __init__(self, correlator: "Correlator", cookie: int, at_ns: int, *, joined: bool) -> None:
        self.correlator = correlator
        self.cookie = cookie
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
        self.connect_ns = 0
        self.established_ns = 0
        self.opened_at = at_ns
        self.last_direction = -1
        self.peer_end = -1
        self.peer_finished = False
        self.local_finished = False
        self.reset = False
        self.closed = False
        self.first: Moved | None = None
        self.identified: tuple[int, int, Endpoint] | None = None  # pid and exec ID, and what they stand for
        self.last: Moved | None = None
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

    def stand(self, now_ns: int) -> None:
        """The watch ends: tell what is open as it stands."""
        self._tell_late()
        while self.pending:
            self._tell(self.pending.popleft(), None, now_ns)

    # -- bytes -----------------------------------------------------------------------------------------------------

    def moved(self, moved: Moved) -> None:
        """Take one call's bytes."""
        side = self.sides[moved.direction]
        if self.first is None:
            self.first = moved
        self.last = moved
        if side.held or moved.offset != side.expected:
            self._reorder(side, moved)
        else:
            self._take(side, moved, moved.offset)
        if self.peer_end >= 0 and self.sides[Direction.RECEIVED].expected >= self.peer_end:
            self._peer_ended(moved.at_ns)

    def _reorder(self, side: Side, moved: Moved) -> None:
        """Two threads on one socket: the later call's record may come first, the earlier one's offset is then off."""
        if not side.held:
            self._out_of_place(side, moved)
            return
        if moved.offset != side.expected and moved.length <= side.hole() and moved.offset >= side.expected:
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

    def _jump(self, side: Side, moved: Moved) -> None:
        side.expected = moved.offset
        if self.mode == HTTP and side.state == BODY and side.expected >= side.until:
            self._body_done(side, moved.at_ns, side.until)
        self._take(side, moved, moved.offset)

    def _give_up_hole(self, side: Side) -> None:
        """The missing call will not come: a measured gap."""
        held, side.held = side.held, []
        self.gap(held[0].at_ns)
        for moved in held:
            side.expected = moved.offset
            self._take(side, moved, moved.offset)

    def gap(self, at_ns: int) -> None:
        """Bytes were lost where they mattered: what was under way cannot be told right; start anew at the next turn."""
        self._tell_late()
        while self.pending:
            self._tell(self.pending.popleft(), "gap", at_ns)
        self._lose_all()
        self.last_direction = -1

    def _lose_all(self) -> None:
        self.current = None
        for side in self.sides:
            side.lose()

    def _take(self, side: Side, moved: Moved, offset: int) -> None:
        skip = side.expected - offset
        side.expected = offset + moved.length
        if self.mode == HTTP:
            if side.state == LOST and not self._resynchronise(side, moved):
                self._stand_lost(side, moved)
            elif self.requests is None or moved.direction == self.requests:
                self.requests = moved.direction if self.requests is None else self.requests
                self._read(side, moved, offset, max(skip, 0), is_request=True)
            else:
                self._read(side, moved, offset, max(skip, 0), is_request=False)
        side.last_at = moved.at_ns
        self.last_direction = moved.direction

    def _stand_lost(self, side: Side, moved: Moved) -> None:
        waiting = self.pending[0] if self.pending else None
        if self.current is not None and self.current.inferred and moved.direction == self.requests:
            self.current.sent_at = moved.at_ns
        elif waiting is not None and waiting.drains and moved.direction != self.requests:
            waiting.response_last_at = moved.at_ns
            waiting.response_end = side.expected

    def _resynchronise(self, side: Side, moved: Moved) -> bool:
        """A whole plausible start line at the start of a turn is certain enough."""
        turned = self.last_direction != moved.direction
        if self.requests is None or moved.direction == self.requests:
            if not turned or not is_request_line(moved.payload):
                return False
            self._drain(moved.at_ns)
            self.requests = moved.direction
            side.state = START
            return True
        if not self.pending or self.pending[0].drains or not turned:
            return False
        if len(moved.payload) < 12 or not may_be_response(moved.payload):
            return False
        side.state = START
        return True

    def _drain(self, at_ns: int) -> None:
        """A response whose end could not be read has ended when the next request begins."""
        while self.pending and self.pending[0].drains:
            waiting = self.pending.popleft()
            outcome = ("ok" if waiting.status < 400 else "http_error") if waiting.inferred else None
            self._tell(waiting, outcome, waiting.response_last_at or at_ns)

    # -- messages --------------------------------------------------------------------------------------------------

    def _read(self, side: Side, moved: Moved, offset: int, position: int, *, is_request: bool) -> None:
        data, length = moved.payload, moved.length
        captured = len(data)
        while position < length and self.mode == HTTP and side.state != LOST:
            state = side.state
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
        self._tell_late()
        while self.pending:
            waiting = self.pending.popleft()
            waiting.response_last_at = waiting.response_last_at or at_ns
            self._tell(waiting, None, at_ns)
        self.mode = STOPPED
        self._mute()

    def _mute(self) -> None:
        for direction in Direction:
            self.correlator.hint(self.cookie, direction, FOR_EVER)

    def _head(self, side: Side, moved: Moved, offset: int, position: int, *, is_request: bool) -> int:
        """Read a head at `position`; return where what follows begins."""
        data = moved.payload
        if side.buffer:
            before = len(side.buffer)
            text = side.buffer + data[position:]
            first, start = side.first or moved, side.buffer_start
        else:
            if is_request:
                while data.startswith((b"\r\n", b"\n"), position):
                    position += 2 if data.startswith(b"\r\n", position) else 1
                if position >= len(data):
                    return position
            before, first, start = 0, moved, offset + position
            text = data[position:] if position else data
        end = head_end(text)
        if 0 <= end <= HEAD_LIMIT:
            parser = self.correlator.heads
            head = parser.request(text[:end]) if is_request else parser.response(text[:end])
            side.buffer, side.first = b"", None
            if head is None:
                self._malformed(moved)
                return moved.length
            after = position + end - before
            if is_request:
                self._request(side, head, first, start, offset + after, moved)
            else:
                self._response(side, head, first, start, offset + after, moved)
            return after
        self._unfinished_head(side, moved, text, first, start, is_request=is_request)
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
        self._drain(moved.at_ns)
        if len(self.pending) >= _PENDING_LIMIT:
            self.correlator.count_loss("correlate", "too_many_pending")
            self.gap(moved.at_ns)
            return
        self.number += 1
        pending = Pending(self.number, self.correlator.exchange_id(self.cookie, self.number), head, first, start)
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

    def _expect_body(self, side: Side, moved: Moved, body: int, length: int) -> None:
        side.state, side.until = BODY, body + length
        if side.until - side.expected > _HINT_FROM:
            self.correlator.hint(self.cookie, moved.direction, side.until)

    def _body_done(self, side: Side, at_ns: int, end: int) -> None:
        side.state = START
        side.chunks = None
        if side is self.sides[self.requests or 0]:
            if self.current is not None:
                self.current.request_end = end
                self.current.sent_at = at_ns
                self.current = None
                self._tell_late()
        else:
            pending = self.pending.popleft()
            pending.response_end = end
            pending.response_last_at = at_ns
            self._complete(pending)

    # -- responses -------------------------------------------------------------------------------------------------

    def _response(  # noqa: PLR0913, PLR0917  # where the head stands, and in which calls
        self, side: Side, head: Head, first: Moved, start: int, body: int, moved: Moved
    ) -> None:
        if not self.pending:
            side.lose()  # an answer to nothing that was seen
            return
        pending = self.pending[0]
        if pending is self.current and pending.inferred:
            self.current, pending.request_end = None, self.sides[self.requests or 0].expected
        if pending.response_start < 0:
            pending.response_start = start
        if 100 <= head.status < 200 and head.status != 101:
            return
        pending.status = head.status
        pending.version = head.version
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
            self._tell(pending, "tunnel", moved.at_ns)
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
            self.correlator.hint(self.cookie, moved.direction, FOR_EVER)

    def _complete(self, pending: Pending) -> None:
        """The answer is whole. Where the request is not (an early answer), its rest may still come and is counted."""
        if pending is self.current and not pending.endless:
            self._tell_late()
            self.late = pending
            return
        self._tell_complete(pending)

    def _tell_late(self) -> None:
        pending, self.late = self.late, None
        if pending is not None:
            self._tell_complete(pending)

    def _tell_complete(self, pending: Pending) -> None:
        outcome = "ok" if pending.status < 400 else "http_error"
        self._tell(pending, outcome, pending.response_last_at)
        if pending.endless:
            self._stop(pending.response_last_at)

    def _tell(self, pending: Pending, outcome: str | None, at_ns: int) -> None:
        if pending.truncated and outcome in ("ok", "http_error", None):
            outcome = "truncated"
        elif pending.endless and outcome in ("ok", "http_error"):
            outcome = None
        self.exchanges += 1
        self.correlator.tell(self, pending, outcome, at_ns)

    # -- the connection's life -------------------------------------------------------------------------------------

    def changed(self, change: Changed) -> None:
        """Take one step in the connection's life."""
        self.facts = change
        self.connect_ns = change.connect_ns or self.connect_ns
        self.established_ns = change.established_ns or self.established_ns
        if change.flags & ChangeFlag.RESET_RECEIVED:
            self.reset = True
        match ChangeKind(change.kind):
            case ChangeKind.OPENED:
                if self.requests is None and not self.joined:
                    client = change.flags & ChangeFlag.CONNECTOR
                    self.requests = Direction.SENT if client else Direction.RECEIVED
            case ChangeKind.PEER_FINISHED:
                self.peer_finished = True
                self._note_peer_end(change)
            case ChangeKind.LOCAL_FINISHED:
                self.local_finished = True
                self._local_ended(change)
            case ChangeKind.CLOSED:
                self._note_peer_end(change)
                if not self.reset or change.received_bytes >= change.peer_end:
                    self.end(change.at_ns, unread=change.peer_end > change.received_bytes)
            case ChangeKind.DESTROYED:
                self.end(change.at_ns, unread=change.peer_end > change.received_bytes)
            case ChangeKind.STANDING:
                pass

    def _note_peer_end(self, change: Changed) -> None:
        self.peer_end = change.peer_end
        if self.sides[Direction.RECEIVED].expected >= self.peer_end and not self.reset:
            self._peer_ended(change.at_ns)

    @property
    def is_client(self) -> bool:
        """Tell whether the observed end sends the requests."""
        return self.requests == Direction.SENT

    def _peer_ended(self, at_ns: int) -> None:
        """Everything the peer will ever send has been read."""
        if not self.is_client or not self.pending:
            return
        pending = self.pending[0]
        if self.reset and not self.peer_finished:
            self.end(at_ns)
            return
        if self.sides[Direction.RECEIVED].state == CLOSE:
            self._until_close_done(pending)
        while self.pending:
            self._tell(self.pending.popleft(), "closed_by_peer", at_ns)
        self._lose_all()

    def _until_close_done(self, pending: Pending) -> None:
        side = self.sides[1 - (self.requests or 0)]
        self.pending.popleft()
        pending.response_end, pending.response_last_at = side.expected, side.last_at
        self._complete(pending)
        side.lose()

    def _local_ended(self, change: Changed) -> None:
        """Our FIN: the end of what we answer; of what we ask only if nothing is to be read any more."""
        if not self.is_client and self.requests is not None:
            if self.pending and self.sides[Direction.SENT].state == CLOSE:
                self._until_close_done(self.pending[0])
            if change.shutdown == 3 or self.pending:
                self.end(change.at_ns)
        elif change.shutdown == 3:
            self.end(change.at_ns)

    def end(self, at_ns: int, *, unread: bool = False) -> None:
        """The observed end is done with the connection, or it is gone: what is open ends now."""
        self.flush()
        self._tell_late()
        if not self.reset:
            self._drain(at_ns)
        while self.pending:
            pending = self.pending.popleft()
            self._tell(pending, self._why_ended(pending, at_ns, unread=unread), at_ns)
        self._lose_all()

    def _why_ended(self, pending: Pending, at_ns: int, *, unread: bool) -> str:
        if self.peer_finished and not self.is_client:
            return "closed_by_peer"
        if self.reset:
            return "reset"
        answered = pending.status or self._has_begun_answer()
        sent_at = pending.sent_at
        if self.is_client and not answered and not unread and sent_at and at_ns - sent_at >= _GIVE_UP_NS:
            return "timeout"
        return "closed_by_local"

    def _has_begun_answer(self) -> bool:
        return bool(self.sides[Direction.RECEIVED].buffer)

    def flush(self) -> None:
        """Stop waiting for calls that are missing."""
        for side in self.sides:
            if side.held:
                self._give_up_hole(side)

    def expire(self, now_ns: int) -> None:
        """Give up holes that stay, and the rest of requests that were answered early."""
        if self.late is not None and now_ns - self.late.response_last_at > _LATE_NS:
            self._tell_late()
        waiting = self.pending[0] if self.pending else None
        if waiting and waiting.inferred and waiting.drains and now_ns - waiting.response_last_at > _LATE_NS:
            self._drain(now_ns)
        for side in self.sides:
            if side.held and now_ns - side.held[0].at_ns > _HOLD_NS:
                self._give_up_hole(side)
