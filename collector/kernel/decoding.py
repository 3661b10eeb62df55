"""From the ring's bytes to observations. Who calls seldom changes: each caller is decoded once, then known again."""

from collections.abc import Sequence
from mmap import mmap
from typing import Final

from collector.domain.observed import Caller, Changed, Moved, Observation
from collector.kernel import abi

_KNOWN_LIMIT: Final = 4096


class Decoder:
    """Decodes the records of one ring, and finds the holes in their numbering."""

    def __init__(self, sequences: dict[int, int]) -> None:
        """`sequences`: (cpu * CPU_LANES + lane) -> next expected number, as it stood before recording began."""
        self.decoded = 0
        self.missed = 0
        self._expected = dict(sequences)
        self._callers: dict[bytes, Caller] = {}

    def decode(self, data: mmap | bytes, places: Sequence[int]) -> list[Observation]:
        """Decode the records that begin at these places; what is returned holds copies, no views."""
        expected, callers = self._expected, self._callers
        unpack, payload = abi.MOVED.unpack_from, abi.MOVED.size
        found: list[Observation] = []
        for at in places:
            if data[at] == abi.RECORD_MOVED:
                (
                    _, lane, cpu, size, sequence, at_ns, connection, offset, ready_ns, length, captured, srtt_us,
                    min_rtt_us, retransmits, syscall, direction, flags, raw,
                ) = unpack(data, at)  # fmt: skip
                found.append(
                    Moved(
                        at_ns, connection, offset, ready_ns, length, captured, srtt_us, min_rtt_us, retransmits,
                        syscall, direction, flags, callers.get(raw) or self._caller(raw),
                        data[at + payload : at + size],
                    )
                )  # fmt: skip
            else:
                _, lane, cpu, _, sequence, *facts, raw = abi.CHANGED.unpack_from(data, at)
                found.append(Changed(*facts, callers.get(raw) or self._caller(raw)))  # type: ignore[call-arg]
            slot = cpu * abi.CPU_LANES + lane
            if sequence > (due := expected.get(slot, 0)):
                self.missed += sequence - due
            expected[slot] = sequence + 1
        self.decoded += len(found)
        return found

    def _caller(self, raw: bytes) -> Caller:
        if len(self._callers) >= _KNOWN_LIMIT:
            self._callers.clear()
        caller = self._callers[raw] = decode_caller(raw)
        return caller


def decode_caller(raw: bytes) -> Caller:
    """Decode struct task_identity and the struct endpoints behind it."""
    return Caller(*abi.CALLER.unpack(raw))
