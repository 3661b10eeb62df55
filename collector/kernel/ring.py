"""The ring buffer read through mmap: no system call and no callback per record.

Layout: kernel/bpf/ringbuf.c of Linux 6.12: consumer page (writable), producer page, data mapped twice in a row so that
a record that wraps is still one piece. Each record: length with busy (bit 31) and discard (bit 30), page offset, data.
"""

import mmap
import os
import threading
from collections.abc import Sequence
from typing import Final

from collector.domain.observed import Observation
from collector.kernel import abi
from collector.kernel.decoding import Decoder

_PAGE: Final = os.sysconf("SC_PAGESIZE")
_BUSY: Final = 1 << 31
_DISCARDED: Final = 1 << 30
_LENGTH: Final = _DISCARDED - 1


class Ring:
    """One reader of one ring: what is complete in it becomes observations."""

    def __init__(self, descriptor: int, size: int, sequences: dict[int, int]) -> None:
        """`sequences`: (cpu * CPU_LANES + lane) -> next expected number, as it stood before recording began."""
        self._consumer = mmap.mmap(
            descriptor, _PAGE, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE, offset=0
        )
        self._producer = mmap.mmap(
            descriptor, _PAGE + 2 * size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ, offset=_PAGE
        )
        self._words = memoryview(self._producer).cast("I")
        self._positions = memoryview(self._producer).cast("Q")
        self._consumed = memoryview(self._consumer).cast("Q")
        self._size = size
        self._barrier = threading.Lock()
        self._decoder = Decoder(sequences)
        self.discarded = 0

    def fill_ratio(self) -> float:
        """Return how full the ring is, 0 to 1."""
        return (self._positions[0] - self._consumed[0]) / self._size

    def drain(self, limit: int = 1 << 20) -> list[Observation]:
        """Take what is complete, at most about `limit` bytes, in the order of the ring."""
        position = start = self._consumed[0]
        end = min(self._positions[0], start + limit)
        if position >= end:
            return []
        offsets: list[int] = []
        words, mask = self._words, self._size - 1
        while position < end:
            at = _PAGE + (position & mask)
            header = words[at >> 2]
            if header & _BUSY:
                break
            if header & _DISCARDED:
                self.discarded += 1
            else:
                offsets.append(at + abi.RING_HEADER_SIZE)
            position += ((header & _LENGTH) + abi.RING_HEADER_SIZE + 7) & ~7
        with self._barrier:  # on weakly ordered machines: what the headers announce is visible from here on
            observations = self._decoder.decode(self._producer, offsets)
        self._consumed[0] = position
        return observations

    @property
    def decoded(self) -> int:
        """How many records were decoded."""
        return self._decoder.decoded

    @property
    def missed(self) -> int:
        """How many numbers were missing between them."""
        return self._decoder.missed

    def drop(self) -> None:
        """Give up everything that stands in the ring, undecoded: for measuring the programs alone."""
        self._consumed[0] = self._positions[0]

    def close(self) -> None:
        """Unmap."""
        for view in (self._words, self._positions, self._consumed):
            view.release()
        self._producer.close()
        self._consumer.close()


class CpuStates:
    """The kernel's own per-CPU counters, read through mmap without any privilege."""

    def __init__(self, descriptor: int, cpus: int, base: Sequence[Sequence[int]] = ()) -> None:
        """`base`: what `read` returned before recording began; without it, counting starts now."""
        length = -(-cpus * abi.CPU_STATE.size // _PAGE) * _PAGE
        self._map = mmap.mmap(descriptor, length, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        self._cpus = cpus
        self._base = base or self.read()

    def read(self) -> list[tuple[int, ...]]:
        """Return every CPU's counters as they stand, in the field order of struct cpu_state."""
        return [abi.CPU_STATE.unpack_from(self._map, cpu * abi.CPU_STATE.size) for cpu in range(self._cpus)]

    def _sum(self, first: int, count: int) -> list[int]:
        now = self.read()
        return [
            sum(state[field] - base[field] for state, base in zip(now, self._base, strict=True))
            for field in range(first, first + count)
        ]

    def totals(self) -> dict[str, int]:
        """Return what watched connections moved since the start, exact whatever the ring lost."""
        first = 2 + abi.CPU_LANES
        names = ("bytes_sent", "bytes_received", "calls_sent", "calls_received", "exchanges", "connections")
        return dict(zip(names, self._sum(first, len(names)), strict=True))

    def losses(self) -> dict[str, int]:
        """Return reason -> count of everything that failed in the kernel programs since the start."""
        counts = self._sum(2 + abi.CPU_LANES + 6, len(abi.LOSS_NAMES))
        return {name: count for name, count in zip(abi.LOSS_NAMES, counts, strict=True) if count}

    def numbered(self) -> int:
        """Return how many records the kernel has numbered since the start, lost ones included."""
        return sum(self._sum(2, abi.CPU_LANES))

    def sequences(self) -> dict[int, int]:
        """Return (cpu * CPU_LANES + lane) -> the next record's number."""
        states = self.read()
        return {
            cpu * abi.CPU_LANES + lane: state[2 + lane]
            for cpu, state in enumerate(states)
            for lane in range(abi.CPU_LANES)
        }

    def close(self) -> None:
        """Unmap."""
        self._map.close()


class Hints:
    """What user space tells the byte path: below this offset a direction is body, no payload wanted."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(
            descriptor,
            -(-abi.HINT_SLOTS * abi.HINT.size // _PAGE) * _PAGE,
            flags=mmap.MAP_SHARED,
            prot=mmap.PROT_READ | mmap.PROT_WRITE,
        )
        self._words = memoryview(self._map).cast("Q")

    def tell(self, connection: int, direction: int, until: int) -> None:
        """Set one direction's mark. Cookies that collide share a slot: the last one wins, the other loses nothing."""
        at = (connection & (abi.HINT_SLOTS - 1)) * 3
        words = self._words
        if words[at] != connection:
            words[at] = 0  # no half-written hint is ever believed
            words[at + 1] = words[at + 2] = 0
            words[at + 1 + direction] = until
            words[at] = connection
        else:
            words[at + 1 + direction] = until

    def close(self) -> None:
        """Unmap."""
        self._words.release()
        self._map.close()
