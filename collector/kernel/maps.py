"""The maps of one load: made, named by their numbers in compiled code, filled with what to watch."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from collector.kernel import abi
from collector.kernel.bpf_syscall import (
    F_MMAPABLE,
    F_NO_PREALLOC,
    MAP_TYPE_ARRAY,
    MAP_TYPE_HASH,
    MAP_TYPE_PERCPU_ARRAY,
    MAP_TYPE_RINGBUF,
    MAP_TYPE_SK_STORAGE,
    MAP_TYPE_TASK_STORAGE,
    create_map,
    create_storage,
    delete,
    keys,
    update,
)
from collector.kernel.request import Filters, LoadRequest
from collector.kernel.rungs import PREEMPT_DISABLE, PREEMPT_ENABLE

_LOAD_IMMEDIATE: Final = 0x18  # BPF_LD | BPF_IMM | BPF_DW
_FROM_MAP: Final = 1  # BPF_PSEUDO_MAP_FD
_CALL: Final = 0x85  # BPF_JMP | BPF_CALL
_KERNEL_FUNCTION: Final = 2  # BPF_PSEUDO_KFUNC_CALL
_FUNCTIONS: Final = {0x70000001: PREEMPT_DISABLE, 0x70000002: PREEMPT_ENABLE}  # the numbers in bpf/helpers.h
_POSSIBLE: Final = Path("/sys/devices/system/cpu/possible")
_ENTRIES: Final = 4096  # of each filter table

Maps = dict[int, int]  # number in bpf/maps.h -> descriptor


def possible_cpus() -> int:
    """Return one more than the highest CPU number this kernel may use."""
    return int(_POSSIBLE.read_text().strip().replace(",", "-").split("-")[-1]) + 1


def make_maps(request: LoadRequest, *, socket_storage: bool, twice: bool) -> Maps:
    """Create every map. Raises KernelRefused."""
    flat = {"key_size": 4, "entries": 1}
    table = {"entries": _ENTRIES, "value_size": 1}
    made = {
        abi.MAP_EVENTS: create_map(
            MAP_TYPE_RINGBUF, key_size=0, value_size=0, entries=request.ring_size, name="ns_events"
        ),
        abi.MAP_CONNECTIONS: create_map(
            MAP_TYPE_HASH,
            key_size=8,
            value_size=abi.CONNECTION.size,
            entries=request.max_connections,
            flags=F_NO_PREALLOC,
            name="ns_connections",
        ),
        abi.MAP_CPUS: create_map(
            MAP_TYPE_ARRAY,
            key_size=4,
            value_size=abi.CPU_STATE.size,
            entries=possible_cpus(),
            flags=F_MMAPABLE,
            name="ns_cpus",
        ),
        abi.MAP_SCRATCH: create_map(
            MAP_TYPE_PERCPU_ARRAY,
            key_size=4,
            value_size=-(-abi.SCRATCH_SIZE // 8) * 8,
            entries=abi.CPU_LANES,
            name="ns_scratch",
        ),
        abi.MAP_SETTINGS: create_map(MAP_TYPE_ARRAY, value_size=abi.SETTINGS.size, name="ns_settings", **flat),
        abi.MAP_PROCESSES: create_map(MAP_TYPE_HASH, key_size=4, name="ns_processes", **table),
        abi.MAP_COMMS: create_map(MAP_TYPE_HASH, key_size=abi.COMM_SIZE, name="ns_comms", **table),
        abi.MAP_CGROUPS: create_map(MAP_TYPE_HASH, key_size=8, name="ns_cgroups", **table),
        abi.MAP_PORTS: create_map(MAP_TYPE_HASH, key_size=4, name="ns_ports", **table),
        abi.MAP_HINTS: create_map(
            MAP_TYPE_ARRAY,
            key_size=4,
            value_size=abi.HINT.size,
            entries=abi.HINT_SLOTS,
            flags=F_MMAPABLE,
            name="ns_hints",
        ),
        abi.MAP_BLANK: create_map(MAP_TYPE_ARRAY, value_size=abi.CONNECTION.size, name="ns_blank", **flat),
        abi.MAP_CALLS: create_map(MAP_TYPE_HASH, key_size=8, value_size=8, entries=16384, name="ns_calls"),
    }
    if socket_storage:
        made[abi.MAP_SOCKETS] = create_storage(MAP_TYPE_SK_STORAGE, abi.CONNECTION.size, "ns_sockets")
    if twice:
        made[abi.MAP_TAKEN] = create_storage(MAP_TYPE_TASK_STORAGE, 4, "ns_taken")
    return made


def link(instructions: bytes, maps: Maps, functions: Mapping[str, tuple[int, int]]) -> bytes:
    """Put descriptors in place of the map numbers that compiled code holds, and BTF IDs in place of functions."""
    code = bytearray(instructions)
    for at in range(0, len(code), 8):
        if code[at] == _LOAD_IMMEDIATE and code[at + 1] >> 4 == _FROM_MAP:
            (number,) = struct.unpack_from("<I", code, at + 4)
            struct.pack_into("<I", code, at + 4, maps[number])
        elif code[at] == _CALL and not code[at + 1]:
            (number,) = struct.unpack_from("<I", code, at + 4)
            if number in _FUNCTIONS:
                code[at + 1] = _KERNEL_FUNCTION << 4
                struct.pack_into("<I", code, at + 4, functions[_FUNCTIONS[number]][0])
    return bytes(code)


def watch(maps: Maps, filters: Filters, *, generation: int) -> None:
    """Put the filters into force: tables first, then the settings that consult them."""
    for number in (abi.MAP_PROCESSES, abi.MAP_COMMS, abi.MAP_CGROUPS, abi.MAP_PORTS):
        _clear(maps[number], {abi.MAP_COMMS: abi.COMM_SIZE, abi.MAP_CGROUPS: 8}.get(number, 4))
    for pid in filters.pids:
        update(maps[abi.MAP_PROCESSES], struct.pack("<I", pid), bytes([abi.PROCESS_WATCHED]))
    for pid in filters.with_children:
        update(maps[abi.MAP_PROCESSES], struct.pack("<I", pid), bytes([abi.PROCESS_AND_CHILDREN]))
    for comm in filters.comms:
        update(maps[abi.MAP_COMMS], comm.encode()[: abi.COMM_SIZE - 1].ljust(abi.COMM_SIZE, b"\0"), b"\1")
    for cgroup in filters.cgroup_ids:
        update(maps[abi.MAP_CGROUPS], struct.pack("<Q", cgroup), b"\1")
    for port in filters.ports:
        update(maps[abi.MAP_PORTS], struct.pack("<I", port), b"\1")
    excluded = (*filters.excluded, *(0,) * abi.EXCLUDED_PIDS)[: abi.EXCLUDED_PIDS]
    update(maps[abi.MAP_SETTINGS], bytes(4), abi.SETTINGS.pack(_kinds(filters), *excluded, generation))


def _kinds(filters: Filters) -> int:
    return (
        abi.FILTER_PROCESS * bool(filters.pids or filters.with_children)
        | abi.FILTER_COMM * bool(filters.comms)
        | abi.FILTER_CGROUP * bool(filters.cgroup_ids)
        | abi.FILTER_PORT * bool(filters.ports)
    )


def _clear(descriptor: int, key_size: int) -> None:
    for key in keys(descriptor, key_size):
        delete(descriptor, key)


def forget_connections(maps: Maps) -> None:
    """Empty the connection table. What stands at sockets goes with them."""
    _clear(maps[abi.MAP_CONNECTIONS], 8)
