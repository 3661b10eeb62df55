"""What the kernel saw, in the words of the design: the input of everything that understands.

Field order is the order of bpf/abi.h, so that a decoded record becomes an observation without a copy.
Times are CLOCK_MONOTONIC nanoseconds; offsets count bytes of one direction's stream since the connection was first
seen (0 = its first byte, where it was seen opening).
"""

from enum import IntEnum, IntFlag
from typing import Final

import msgspec

# What a hint can say instead of an offset (bpf/maps.h).
NOTHING_MORE: Final = (1 << 64) - 1  # of this direction nothing is wanted any more
LENGTHS_ONLY: Final = NOTHING_MORE - 1  # no payload is wanted any more, but each call's length


class Direction(IntEnum):
    """Of a call, as seen from the observed end."""

    SENT = 0
    RECEIVED = 1


class MovedFlag(IntFlag):
    """What is special about one call's bytes."""

    JOINED = 0x01  # the connection was open before it was first seen
    UNREADABLE = 0x02  # no readable user buffer: sendfile, splice, io_uring, 32-bit task
    FAULT = 0x04  # the user buffer could not be read
    DISCARDED = 0x08  # MSG_TRUNC: counted, never in a user buffer
    MUTED = 0x10  # user space asked for no payload here


class ChangeKind(IntEnum):
    """One step in the life of a connection."""

    OPENED = 1
    PEER_FINISHED = 2  # FIN received
    LOCAL_FINISHED = 3  # FIN sent, by shutdown or close
    CLOSED = 4  # TCP state CLOSE, also after a failed connect
    DESTROYED = 5  # the socket is gone: totals are final
    STANDING = 6  # read from the kernel's table: still open, totals as of now


class ChangeFlag(IntFlag):
    """What is known of the connection at a change."""

    JOINED = 0x01
    RESET_RECEIVED = 0x02
    CONNECTOR = 0x04  # this end called connect()
    ORPHANED = 0x08  # no process holds the socket any more


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Which task called, and between which addresses its connection is; many observations share one."""

    started_ns: int
    cgroup_id: int
    pid: int
    tid: int
    exec_id: int
    uid: int
    comm: bytes  # NUL-padded, 16 bytes
    local: bytes  # 16 bytes, IPv4 as ::ffff:a.b.c.d
    peer: bytes
    local_port: int
    peer_port: int
    family: int


class Moved(msgspec.Struct, frozen=True, gc=False):
    """Bytes that one send or receive call moved over one connection, with the captured part of them."""

    at_ns: int
    connection: int
    offset: int
    ready_ns: int  # received: when the first byte not read before became readable; 0 = not known
    length: int
    captured: int
    srtt_us: int
    min_rtt_us: int
    retransmits: int  # of this end, since the connection opened
    syscall: int
    direction: int
    flags: int
    caller: Caller
    payload: bytes  # the first `captured` bytes of the call


class Changed(msgspec.Struct, frozen=True, gc=False):
    """A connection opened, finished in one direction, closed or went away; totals are the kernel's own."""

    at_ns: int
    connection: int
    connect_ns: int  # when SYN was sent; 0 = not by this end, or before start
    established_ns: int  # 0 = not known
    sent_bytes: int
    received_bytes: int
    peer_end: int  # after PEER_FINISHED or a reset: where the peer's stream ends, in offset terms
    sent_calls: int
    received_calls: int
    segments_out: int
    segments_in: int
    exchanges: int  # response turns counted in the kernel
    retransmits: int
    srtt_us: int
    min_rtt_us: int
    error: int  # errno of the socket
    kind: int
    old_state: int
    new_state: int
    flags: int
    shutdown: int  # 1 receive side, 2 send side, 3 both
    caller: Caller  # the process that moved the first byte or connected; pid 0 = none yet


Observation = Moved | Changed
