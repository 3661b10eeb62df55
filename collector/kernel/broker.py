"""The broker: the one process that stays privileged, with a closed list of requests. Standard library only.

It holds the maps that an unprivileged process may not read on every kernel, and no attachment: when the collector dies,
everything is detached, and the broker, seeing its socket closed, ends too. Beside the requests it keeps the
collector in the background (collector.kernel.background), where it has CAP_SYS_NICE.

Protocol over a SOCK_STREAM pair: a request is one byte, its answer a u32 length and as many bytes.
  C  connections: struct connection*; entries whose socket is gone are removed once told
  S  one more byte, a signal number: sent to the command that the watch started
  P  programs: of each the nanoseconds and runs, where they are timed, and how often it was skipped, three u64
"""

import contextlib
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

from collector.kernel import abi, background, bpf_syscall, privileges, return_probes
from collector.kernel.errors import BrokerGone, KernelProblem

_KEPT: Final = (privileges.CAP_KILL, privileges.CAP_BPF)
_ALLOWED_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGKILL, signal.SIGINT})
_LENGTH: Final = struct.Struct("<I")
_COOKIE: Final = struct.Struct("<Q")
_RUNS: Final = struct.Struct("<QQQ")
_DESCRIPTOR_LIMIT: Final = 64
_NAMES_LIMIT: Final = 4096
_FLAGS_OFFSET: Final = struct.calcsize("<QQQQQ2Q2QQ2I2I2IIIIII")


class _Held(NamedTuple):
    """The descriptors handed over."""

    connections: int  # a map
    iterators: list[int]
    programs: list[int]
    others: list[int]  # what keeps the programs timed; what removes return probes
    returns: list[str]  # those

    @classmethod
    def sorted_out(cls, descriptors: list[int], iterators: int, programs: int, *names: int) -> "_Held":
        """Sort what came: the table, so many iterators and programs, then the others; `names`: the text of those."""
        first, *rest = descriptors
        last = iterators + programs
        return cls(first, rest[:iterators], rest[iterators:last], rest[last:], bytes(names).decode().split())


def start(user: str, command_pid: int = 0) -> tuple[int, socket.socket, background.Heartbeat]:
    """Fork the broker before anything big is imported; return its pid, our end of the socket, and where to beat."""
    ours, theirs = socket.socketpair()
    heartbeat = background.Heartbeat()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours, heartbeat
    ours.close()
    return _serve(theirs, user, command_pid, heartbeat)


def _serve(link: socket.socket, user: str, command_pid: int, heartbeat: background.Heartbeat) -> NoReturn:
    status = 1
    with contextlib.suppress(OSError, EOFError, KernelProblem):  # the collector meets the same, and says so
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the collector decides when it is over
        counts, descriptors, _, _ = socket.recv_fds(link, _NAMES_LIMIT, _DESCRIPTOR_LIMIT)
        if not counts:  # nothing could be attached
            raise EOFError
        held = _Held.sorted_out(descriptors, *counts)
        nice = privileges.permitted(privileges.CAP_SYS_NICE)
        kept = (*_KEPT, privileges.CAP_SYS_NICE) if nice else _KEPT
        privileges.become(*privileges.account(user), keep=kept)
        state = background.Background()
        while True:
            if nice:
                _tend(link, heartbeat, state)
            if not (request := link.recv(1)):
                break
            _answer(link, request, held, command_pid)
        if held.returns:
            return_probes.remove(held.others[-1], held.returns)  # the collector's attachments are gone with it
        status = 0
    os._exit(status)


def _tend(link: socket.socket, heartbeat: background.Heartbeat, state: background.Background) -> None:
    """Until a request waits, let the collector run in the background, and never starve there."""
    collector = os.getppid()
    while not select.select([link], [], [], background.CHECK_EVERY_S)[0]:
        before = state.policy
        due = state.due(time.monotonic_ns(), last_ns=heartbeat.last_ns, behind=heartbeat.behind)
        if due != before:
            background.apply(collector, due)


def _answer(link: socket.socket, request: bytes, held: _Held, command_pid: int) -> None:
    body = b""
    if request == b"C":
        body = b"".join([*_hashed(held.connections), *map(_at_sockets, held.iterators)])
    elif request == b"P":
        body = b"".join(_RUNS.pack(*bpf_syscall.run_statistics(program)) for program in held.programs)
    elif request == b"S":
        number = link.recv(1)[0]
        if command_pid and number in _ALLOWED_SIGNALS:
            with contextlib.suppress(ProcessLookupError):
                os.kill(command_pid, number)
    else:
        raise EOFError
    link.sendall(_LENGTH.pack(len(body)) + body)


def _hashed(connections: int) -> list[bytes]:
    found = []
    for key in bpf_syscall.keys(connections, _COOKIE.size):
        value = bpf_syscall.lookup(connections, key, abi.CONNECTION.size)
        if value is None:
            continue
        (flags,) = struct.unpack_from("<I", value, _FLAGS_OFFSET)
        if flags & abi.CONNECTION_WATCHED:
            found.append(value)
        if flags & abi.CONNECTION_GONE:
            bpf_syscall.delete(connections, key)
    return found


def _at_sockets(iterator: int) -> bytes:
    """Let the iterator program write every watched entry."""
    with open(bpf_syscall.create_iterator(iterator), "rb", buffering=1 << 16) as entries:  # noqa: PTH123  # a descriptor
        return entries.read()


class BrokerClient:
    """The collector's end."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def hand_over(self, tables: list[int], *, iterators: int, programs: int, returns: Sequence[str]) -> None:
        """Give the broker what `LoadReply` calls tables."""
        socket.send_fds(self._link, [bytes([iterators, programs]) + " ".join(returns).encode()], tables)

    def connections(self) -> list[bytes]:
        """Return the table's watched entries: struct connection of each, raw."""
        body = self._ask(b"C")
        size = abi.CONNECTION.size
        return [body[at : at + size] for at in range(0, len(body), size)]

    def programs(self) -> list[tuple[int, int, int]]:
        """Return (nanoseconds, runs, skipped) of each program, in the order in which they were handed over."""
        return list(_RUNS.iter_unpack(self._ask(b"P")))

    def signal_command(self, number: int) -> None:
        """Send a signal to the command that the watch started."""
        self._ask(b"S" + bytes([number]))

    def _ask(self, request: bytes) -> bytes:
        try:
            self._link.sendall(request)
            (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
            return self._read(length)
        except OSError as problem:
            raise BrokerGone(str(problem)) from problem

    def _read(self, length: int) -> bytes:
        body = bytearray()
        while len(body) < length:
            piece = self._link.recv(min(length - len(body), 1 << 20))
            if not piece:
                raise BrokerGone("the broker ended")
            body += piece
        return bytes(body)

    def close(self) -> None:
        """Let the broker end."""
        self._link.close()
