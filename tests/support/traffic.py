"""Observations made by hand: a transcript of calls as the kernel would record them."""

from collector.correlate.correlator import Correlator
from collector.domain.observed import Caller, Changed, ChangeFlag, ChangeKind, Direction, Moved
from collector.domain.services import Identity

SENT, RECEIVED = Direction.SENT, Direction.RECEIVED
LOOPBACK = b"\0" * 10 + b"\xff\xff\x7f\0\0\1"
COMM = b"worker".ljust(16, b"\0")


class KnowsNothing:
    """A host without /proc."""

    def lookup(self, pid, started_ns, exec_id, comm, cgroup_id):
        return Identity(comm, None)


def correlator(**more):
    return Correlator(run_id="run", wall_offset_ns=0, processes=KnowsNothing(), **more)


class Wire:
    """One connection; every step takes 1 ms. Events gather in `told`."""

    def __init__(self, core=None, *, client=True, cookie=7, joined=False, pid=42):
        self.core = core or correlator()
        self.client, self.cookie, self.joined, self.pid = client, cookie, joined, pid
        self.now = 1_000_000_000
        self.offsets = [0, 0]
        self.told = []
        if not joined:
            self.change(ChangeKind.OPENED)

    def step(self, ms=1.0):
        self.now += int(ms * 1e6)
        return self

    def caller(self):
        return Caller(5, 1, self.pid, self.pid, 1, 0, COMM, LOOPBACK, LOOPBACK, 40000, 8080, 2)

    def moved(self, direction, payload, *, length=None, flags=0, offset=None, ready_ms=0.5):
        length = len(payload) if length is None else length
        at = self.offsets[direction] if offset is None else offset
        self.offsets[direction] = max(self.offsets[direction], at + length)
        ready = self.now - int(ready_ms * 1e6) if direction == RECEIVED and ready_ms is not None else 0
        return Moved(
            self.now, self.cookie, at, ready, length, len(payload), 10, 10, 0, 44, int(direction),
            flags | (1 if self.joined else 0), self.caller(),
            payload,
        )  # fmt: skip

    def _take(self, observations):
        self.told += self.core.receive_all(observations)
        return self

    def move(self, direction, payload, **more):
        self.step()
        return self._take([self.moved(direction, payload, **more)])

    def ask(self, payload, **more):
        return self.move(SENT if self.client else RECEIVED, payload, **more)

    def answer(self, payload, **more):
        return self.move(RECEIVED if self.client else SENT, payload, **more)

    def change(self, kind, **more):
        self.step()
        return self._take([self.changed(kind, **more)])

    def standing(self):
        """What the kernel's table says of the connection now."""
        return self.changed(ChangeKind.STANDING)

    def changed(self, kind, *, shutdown=0, reset=False, error=0, unread=0):
        flags = (ChangeFlag.CONNECTOR if self.client else 0) | (ChangeFlag.RESET_RECEIVED if reset else 0)
        flags |= ChangeFlag.JOINED if self.joined else 0
        got = self.offsets[RECEIVED]
        return Changed(
            self.now, self.cookie, 999_000_000 if self.client else 0, 1_000_000_000, self.offsets[SENT], got,
            got + unread, 1, 1, 2, 2, 0, 0, 10, 10, error, int(kind), 1, 1, int(flags), shutdown, self.caller(),
        )  # fmt: skip

    def outcomes(self):
        return [event.outcome for event in self.told]

    def only(self):
        (event,) = self.told
        return event
