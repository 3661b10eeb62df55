"""A running probe: everything attached, read from an unprivileged process."""

import contextlib
import os
import socket
import subprocess
import sys
from typing import Final, NamedTuple

import msgspec

from collector.domain.observed import Changed, ChangeFlag, ChangeKind, Observation
from collector.kernel import abi
from collector.kernel.broker import BrokerClient
from collector.kernel.decoding import decode_caller
from collector.kernel.errors import LoaderFailed, NoRung
from collector.kernel.request import LoadReply, LoadRequest
from collector.kernel.ring import CpuStates, Hints, Ring
from collector.kernel.rungs import AGAIN, BY_NAME

_REPLY_LIMIT: Final = 1 << 20
_DESCRIPTOR_LIMIT: Final = 128
_LOADER: Final = "collector.kernel.loader"


def run_loader(request: LoadRequest) -> tuple[LoadReply, list[int]]:
    """Run the loader to its end; return its answer and the descriptors that came with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        # -P: root must not import what happens to stand in the working directory
        command = [sys.executable, "-P", "-m", _LOADER, str(theirs.fileno())]
        child = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=sys.stderr)
        theirs.close()
        body, descriptors = b"", list[int]()
        with contextlib.suppress(ConnectionError):  # it died early: its status tells
            ours.sendall(msgspec.json.encode(request))
            body, descriptors, _, _ = socket.recv_fds(ours, _REPLY_LIMIT, _DESCRIPTOR_LIMIT)
        status = child.wait()
    if not body:
        raise LoaderFailed(f"the loader ended with status {status}; what it said stands above")
    return msgspec.json.decode(body, type=LoadReply), descriptors


class Program(NamedTuple):
    """How a program of ours fared."""

    seconds: float | None  # CPU time; None: not timed
    runs: int | None
    skipped: int  # not run, as it was under way on that CPU, in a task that was preempted


class Probe:
    """What was loaded, and the reading of it. Closing it detaches everything."""

    def __init__(self, request: LoadRequest, broker: BrokerClient) -> None:
        """Run the loader. Raises NoRung, LoaderFailed."""
        reply, descriptors = run_loader(request)
        if reply.problem:
            raise LoaderFailed(reply.problem)
        if reply.rung is None:
            raise NoRung({one.name: f"{one.reason} ({BY_NAME[one.name].needs})" for one in reply.tried})
        events, cpus, hints, *rest = descriptors
        tables, self._attachments = rest[: reply.tables], rest[reply.tables :]
        broker.hand_over(tables, iterators=reply.iterators, programs=len(reply.programs), returns=reply.returns)
        self.reply = reply
        self._broker = broker
        self._states = CpuStates(cpus, reply.cpus, reply.counters)
        self._hints = Hints(hints)
        self._ring = Ring(events, request.ring_size, reply.sequences)
        for descriptor in (events, cpus, hints, *tables):
            os.close(descriptor)  # the mappings and the broker hold what is needed

    @property
    def rung(self) -> str:
        """Return the name of the rung in use."""
        return self.reply.rung or ""

    def drain(self, limit: int) -> list[Observation]:
        """Take what the kernel has recorded since the last time, at most about `limit` bytes of it."""
        return self._ring.drain(limit)

    def hint(self, connection: int, direction: int, until: int) -> None:
        """Tell the kernel that a direction's bytes below `until` need no payload."""
        self._hints.tell(connection, direction, until)

    def standing(self, now_ns: int) -> list[Changed]:
        """Return the kernel's own totals of every connection that is open, or whose last record was lost."""
        return [_standing(entry, now_ns) for entry in self._broker.connections()]

    def fill_ratio(self) -> float:
        """Return how full the ring is."""
        return self._ring.fill_ratio()

    def counts(self) -> dict[str, int]:
        """Return records captured (numbered in the kernel), decoded, and lost (numbers that did not arrive).

        Exact once the ring is drained; what is still in it counts as lost until then.
        """
        captured, decoded = self._states.numbered(), self._ring.decoded
        return {"captured": captured, "decoded": decoded, "lost": captured - decoded}

    @property
    def missed(self) -> int:
        """Return how many numbers were missing between those that arrived: lost, whatever is still in the ring."""
        return self._ring.missed

    def losses(self) -> dict[str, int]:
        """Return reason -> count from the kernel programs."""
        return self._states.losses()

    def totals(self) -> dict[str, int]:
        """Return the kernel's own totals of what watched connections moved."""
        return self._states.totals()

    def programs(self) -> dict[str, Program]:
        """Return how each program of ours fared since the start; empty where the kernel cannot tell."""
        if not self.reply.programs:
            return {}
        timed = self.reply.timed
        return {
            name: Program(spent_ns / 1e9 if timed else None, runs if timed else None, skipped)
            for name, (spent_ns, runs, skipped) in zip(self.reply.programs, self._broker.programs(), strict=True)
        }

    def skipped(self) -> int:
        """Return how many calls or changes the kernel may have kept from us: it does not run a program twice at once.

        At most so many: of a program with a second copy, where both were under way.
        """
        found = {name: program.skipped for name, program in self.programs().items()}
        return sum(min(count, found.get(name + AGAIN, count)) for name, count in found.items() if AGAIN not in name)

    def detach(self) -> None:
        """Record nothing more. What was recorded, and the counters, can still be read."""
        for descriptor in self._attachments:
            os.close(descriptor)
        self._attachments = []

    def close(self) -> None:
        """Detach and unmap."""
        self.detach()
        for part in (self._ring, self._states, self._hints):
            part.close()


def _standing(entry: bytes, now_ns: int) -> Changed:
    (
        cookie, connect_ns, established_ns, _ready, _ready_last, sent, received, _b0, _b1, peer_end, _s0, _s1,
        sent_calls, received_calls, out, in_, retransmits, srtt, min_rtt, error, exchanges, flags, _start, _turn,
        _length, _rejected, _vector, _tid, _index, caller, *_mover,
    ) = abi.CONNECTION.unpack_from(entry)  # fmt: skip
    known = ChangeFlag(0)
    for theirs, ours in ((0x02, ChangeFlag.JOINED), (0x04, ChangeFlag.CONNECTOR), (0x08, ChangeFlag.RESET_RECEIVED)):
        if flags & theirs:
            known |= ours
    kind = ChangeKind.DESTROYED if flags & abi.CONNECTION_GONE else ChangeKind.STANDING
    return Changed(
        now_ns, cookie, connect_ns, established_ns, sent, received, peer_end, sent_calls, received_calls, out, in_,
        exchanges, retransmits, srtt, min_rtt, error, kind, 0, 0, known, 0, decode_caller(caller),
    )  # fmt: skip
