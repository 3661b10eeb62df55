"""The feed's core: one shared log, a cursor a client, gaps told exactly. No I/O, no clock.

Clients with the same filter share a group: its matching events are found once, encoded once and joined once. A client
is a cursor into its group, so a stalled one costs no memory of its own: when the shared log forgets an event that the
client had not read, the difference between the cursor and the log's start is what it missed.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

import msgspec

from api.dto.feed import FeedStatistics, Gap, Heartbeat, Hello
from api.services.recent import Entry, Recent, text_frame
from collector.domain.events import Exchange

Accept = Callable[[Exchange], bool]
_CHUNKS_KEPT: Final = 16
_encode: Final = msgspec.json.Encoder().encode


class FeedFull(Exception):  # says what happened
    """No more clients, or no more different filters."""


class Group:
    """The matching events of one filter, from the shared log."""

    def __init__(self, text: str, accept: Accept | None, log: Recent[Exchange], gone_seq: int = 0) -> None:
        self.text = text
        self.clients = 0
        self.first = 0  # matching events that the log forgot since this group exists
        self.last_gone_seq = gone_seq
        self._accept = accept
        self._log = log
        self._entries: deque[Entry[Exchange]] = deque()
        self._chunks: dict[tuple[int, int], tuple[bytes, int, int]] = {}

    @property
    def total(self) -> int:
        """Return how many events have matched."""
        return self.first + len(self._entries)

    def publish(self, entries: Iterable[Entry[Exchange]]) -> None:
        """Take new entries of the log."""
        accept = self._accept
        self._entries.extend(entries if accept is None else [one for one in entries if accept(one.event)])
        self._chunks.clear()

    def evict(self, seq: int) -> None:
        """Forget what the log forgot: everything up to `seq`."""
        entries = self._entries
        while entries and entries[0].event.seq <= seq:
            self.last_gone_seq = entries.popleft().event.seq
            self.first += 1

    def index_after(self, seq: int) -> int:
        """Return the index of the first kept event above `seq`."""
        newer = 0
        for entry in reversed(self._entries):
            if entry.event.seq <= seq:
                break
            newer += 1
        return self.total - newer

    def chunk(self, index: int, limit_bytes: int) -> tuple[bytes, int, int]:
        """Return frames from `index` on (bytes joined, how many, last seq); kept for the next one that stands there."""
        key = (index, limit_bytes)
        if key not in self._chunks:
            if len(self._chunks) >= _CHUNKS_KEPT:
                self._chunks.clear()
            self._chunks[key] = self._join(index, limit_bytes)
        return self._chunks[key]

    def _join(self, index: int, limit_bytes: int) -> tuple[bytes, int, int]:
        ahead = self.total - index
        newest = ahead < len(self._entries) // 2  # a deque is quick at its ends only
        rest = (
            list(islice(reversed(self._entries), ahead))[::-1]
            if newest
            else islice(self._entries, index - self.first, None)
        )
        frames: list[bytes] = []
        size = seq = 0
        for entry in rest:
            frame = self._log.frame(entry)
            frames.append(frame)
            seq = entry.event.seq
            size += len(frame)
            if size >= limit_bytes:
                break
        return b"".join(frames), len(frames), seq


class FeedClient:
    """One subscriber: a cursor, and frames of its own that go first."""

    __slots__ = ("beat", "delivered", "group", "index", "last_seq", "missed", "own")

    def __init__(self, group: Group, index: int, last_seq: int) -> None:
        self.group = group
        self.index = index
        self.last_seq = last_seq  # everything up to it was delivered, missed, or before this client's time
        self.own: list[bytes] = []
        self.beat = False
        self.delivered = 0
        self.missed = 0


class FeedHub:
    """Who listens, with which filter, and how far each has read."""

    def __init__(
        self, *, log: Recent[Exchange], epoch: str, max_clients: int, max_filters: int = 64, heartbeat_s: float = 20.0
    ) -> None:
        self.epoch = epoch
        self.heartbeat_s = heartbeat_s
        self.clients: set[FeedClient] = set()
        self._log = log
        self._max_clients = max_clients
        self._max_filters = max_filters
        self._groups = {"": Group("", None, log)}
        self._traced = 0
        self._untraced = 0
        self._left = [0, 0, 0]  # published, delivered, missed of clients that went
        self._refused = 0
        self._seq = 0
        self._gone_seq = 0  # the newest event that the log forgot

    def add(self, events: Sequence[Exchange]) -> bool:
        """Take new exchanges into the log; tell whether there is something to send."""
        if not events:
            return False
        self._seq = events[-1].seq
        made, gone = self._log.add(events)
        if gone:
            self._gone_seq = gone[-1].event.seq
        traced = [entry for entry in made if entry.event.trace_id is not None]
        self._traced += len(traced)
        self._untraced += len(made) - len(traced)
        for group in self._groups.values():
            group.publish(traced)
            if gone:
                group.evict(self._gone_seq)
        return bool(traced and self.clients)

    def join(
        self, text: str, accept: Accept | None, *, after: int | None = None, same_epoch: bool = True
    ) -> FeedClient:
        """Let a client in; `after` resumes behind that `seq`. Raises FeedFull; ValueError where that is yet to come."""
        if after is not None and same_epoch and after > self._seq:
            raise ValueError(f"is {after}, but the newest is {self._seq}")
        group = self._groups.get(text)
        if len(self.clients) >= self._max_clients or (group is None and len(self._groups) > self._max_filters):
            self._refused += 1
            raise FeedFull
        if group is None:
            group = self._groups[text] = Group(text, accept, self._log, self._gone_seq)
            group.publish([entry for entry in self._log if entry.event.trace_id is not None])
        resumed = after is not None and same_epoch
        client = FeedClient(group, group.total, self._seq)
        if after is not None and resumed:
            client.index, client.last_seq = group.index_after(after), after
        hello = Hello(epoch=self.epoch, seq=self._seq, resumed=resumed, heartbeat_s=self.heartbeat_s, filter=text)
        client.own.append(text_frame(_encode(hello)))
        if not same_epoch:
            client.own.append(text_frame(_encode(Gap(missed=None, from_=None, to=self._seq))))
        elif after is not None and after < group.last_gone_seq:
            client.own.append(self._forgotten(group, after))
            client.last_seq = group.last_gone_seq
        group.clients += 1
        self.clients.add(client)
        return client

    def _forgotten(self, group: Group, after: int) -> bytes:
        """What a client that comes back missed: exact from the beginning on, else only its range is known."""
        missed = group.first if after == 0 and not group.text else None
        return text_frame(_encode(Gap(missed=missed, from_=after + 1, to=group.last_gone_seq)))

    def leave(self, client: FeedClient) -> None:
        """Let a client go, and its filter with it if it was the last one."""
        if client not in self.clients:
            return
        self.clients.discard(client)
        waiting = client.group.total - client.index
        self._left[0] += client.delivered + client.missed + waiting
        self._left[1] += client.delivered
        self._left[2] += client.missed + waiting
        client.group.clients -= 1
        if client.group.text and not client.group.clients:
            del self._groups[client.group.text]

    def take(self, client: FeedClient, limit_bytes: int) -> bytes:
        """Return what to send next, about `limit_bytes` of whole frames; empty where the client is up to date."""
        group, parts = client.group, client.own
        if parts:
            client.own = []
        elif client.index == group.total and not client.beat:
            return b""
        if client.index < group.first:
            missed = group.first - client.index
            gap = Gap(missed=missed, from_=client.last_seq + 1, to=group.last_gone_seq)
            parts = [*parts, text_frame(_encode(gap))]
            client.missed += missed
            client.index, client.last_seq = group.first, group.last_gone_seq
        if client.index < group.total:
            chunk, count, seq = group.chunk(client.index, limit_bytes)
            client.index += count
            client.delivered += count
            client.last_seq = seq
            client.beat = False
            return b"".join([*parts, chunk]) if parts else chunk
        if client.beat:
            client.beat = False
            parts = [*parts, text_frame(_encode(Heartbeat(seq=self._seq)))]
        return b"".join(parts)

    def beat(self) -> None:
        """A heartbeat for everybody who is up to date."""
        for client in self.clients:
            client.beat = True

    def pause_s(self) -> float:
        """Return how long to gather events before the next round: many clients get fuller writes, not more of them."""
        return min(0.04, math.floor(len(self.clients) / 8) * 0.000_6)

    def statistics(self) -> FeedStatistics:
        """Return the totals."""
        published, delivered, missed = self._left
        for client in self.clients:
            waiting = client.group.total - client.index
            published += client.delivered + client.missed + waiting
            delivered += client.delivered
            missed += client.missed + max(0, client.group.first - client.index)
        return FeedStatistics(
            clients=len(self.clients),
            filters=len(self._groups) - 1,
            traced=self._traced,
            untraced=self._untraced,
            published=published,
            delivered=delivered,
            missed=missed,
            refused=self._refused,
        )
