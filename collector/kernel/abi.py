"""The mirror of bpf/abi.h and bpf/maps.h: layouts, map numbers, reasons. A test holds the two together."""

import struct
from typing import Final

RECORD_MOVED: Final = 1
RECORD_CHANGED: Final = 2

CPU_LANES: Final = 4
CAPTURE_LIMIT: Final = 12288
HINT_SLOTS: Final = 16384
EXCLUDED_PIDS: Final = 4
COMM_SIZE: Final = 16

# A ring record: the ring's own header (length with busy and discard bits, page offset), then struct record_head, its
# time stamp last, and from there on the fields in the order of collector.domain.observed.
RING_HEADER_SIZE: Final = 8
HEAD: Final = "BBHIQ"  # kind, lane, cpu, size, sequence
TASK: Final = "QQIIII16s"
ENDPOINTS: Final = "16s16sHHH2x"
CALLER: Final = struct.Struct(f"<{TASK}{ENDPOINTS}")
MOVED: Final = struct.Struct(f"<{HEAD}QQQQIIIIIHBB{CALLER.size}s")
CHANGED: Final = struct.Struct(f"<{HEAD}QQQQQQQIIIIIIIIIBBBBB7x{CALLER.size}s")

LOSS_REASONS: Final = 32
LOSS_NAMES: Final = (
    "ring_full_moved",
    "ring_full_changed",
    "connection_table_full",
    "no_scratch",
    "nested_too_deep",
    "no_cpu_state",
    "no_task_registers",
    "user_buffer_fault",
    "user_iovec_fault",
    "user_header_fault",
    "iovec_too_long",
    "ambiguous_message",
    "no_cookie",
    "no_tcp_sock",
    "no_settings",
    "process_table_full",
    "connection_delete",
    "call_table_full",
    "return_missed",
)

CPU_STATE: Final = struct.Struct(f"<II{CPU_LANES}Q2Q2QQQ{LOSS_REASONS}Q21Q")
CONNECTION: Final = struct.Struct(f"<QQQQQ2Q2QQ2I2I2IIIIIII16sBB2xIQII{CALLER.size}s{TASK}")
CONNECTION_GONE: Final = 0x10
CONNECTION_WATCHED: Final = 0x01
SETTINGS: Final = struct.Struct(f"<I{EXCLUDED_PIDS}II")
HINT: Final = struct.Struct("<QQQ")
VECTOR: Final = struct.Struct("<7Q")
CALL: Final = struct.Struct("<QIII4x")
SCRATCH_SIZE: Final = MOVED.size + 16384 + CAPTURE_LIMIT + CALL.size + VECTOR.size

FILTER_PROCESS: Final = 0x01
FILTER_COMM: Final = 0x02
FILTER_CGROUP: Final = 0x04
FILTER_PORT: Final = 0x08

PROCESS_WATCHED: Final = 1
PROCESS_AND_CHILDREN: Final = 2

MAP_EVENTS: Final = 1
MAP_CONNECTIONS: Final = 2
MAP_CPUS: Final = 3
MAP_SCRATCH: Final = 4
MAP_SETTINGS: Final = 5
MAP_PROCESSES: Final = 6
MAP_COMMS: Final = 7
MAP_CGROUPS: Final = 8
MAP_PORTS: Final = 9
MAP_HINTS: Final = 10
MAP_BLANK: Final = 11
MAP_CALLS: Final = 12
MAP_SOCKETS: Final = 13
MAP_TAKEN: Final = 14
