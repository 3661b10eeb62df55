"""The capability ladder: the ways to see bytes move, best first. Each is decided by load-and-fire, never by version."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from collector.kernel.btf import KernelTypes


class Hook(Enum):
    """How a program is attached."""

    TRACEPOINT = "tracepoint"  # BTF-typed raw tracepoint
    FEXIT = "fexit"
    KPROBE = "kprobe"
    KRETPROBE = "kretprobe"
    ITERATOR = "iterator"  # runs when user space reads it


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One BPF program: its name in bpf/, and what it is attached to."""

    name: str
    hook: Hook
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One way to see bytes move."""

    name: str
    number: int
    definition: str
    programs: tuple[Program, ...]
    plain_loads: bool
    blind_to: tuple[str, ...]  # what this rung cannot see, for doctor


def _tracepoints(*names: str) -> tuple[Program, ...]:
    return tuple(Program(name=name, hook=Hook.TRACEPOINT, target=name) for name in names)


LENGTH: Final = Rung(
    name="length",
    number=1,
    definition="RUNG_LENGTH",
    programs=_tracepoints("sock_send_length", "sock_recv_length"),
    plain_loads=True,
    blind_to=("payload of sendfile, splice and io_uring (bytes are counted)",),
)
FEXIT: Final = Rung(
    name="fexit",
    number=2,
    definition="RUNG_FEXIT",
    programs=tuple(Program(name=name, hook=Hook.FEXIT, target=name) for name in ("tcp_sendmsg", "tcp_recvmsg")),
    plain_loads=True,
    blind_to=LENGTH.blind_to,
)
KPROBE: Final = Rung(
    name="kprobe",
    number=3,
    definition="RUNG_KPROBE",
    programs=tuple(
        Program(name=f"{prefix}_{function}", hook=hook, target=function)
        for function in ("tcp_sendmsg", "tcp_recvmsg")
        for prefix, hook in (("enter", Hook.KPROBE), ("return", Hook.KRETPROBE))
    ),
    plain_loads=False,
    blind_to=LENGTH.blind_to,
)
EXIT: Final = Rung(
    name="exit",
    number=4,
    definition="RUNG_EXIT",
    programs=_tracepoints("sys_exit"),
    plain_loads=False,
    blind_to=(
        *LENGTH.blind_to,
        "io_uring (seen only as a gap in the stream)",
        "a descriptor that another thread closes during the call",
    ),
)
LADDER: Final = (LENGTH, FEXIT, KPROBE, EXIT)
BY_NAME: Final = {rung.name: rung for rung in LADDER}

_LIFE: Final = ("inet_sock_set_state", "tcp_destroy_sock", "tcp_receive_reset", "tcp_retransmit_skb")
_READY: Final = "sk_data_ready"
_ITERATOR: Final = "bpf_sk_storage_map"
FUNCTIONS: Final = frozenset({"tcp_sendmsg", "tcp_recvmsg", f"bpf_iter_{_ITERATOR}"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to compile and attach for one rung on this kernel."""

    rung: Rung
    definitions: tuple[str, ...]
    programs: tuple[Program, ...]


def plan(rung: Rung, types: KernelTypes, *, by_process: bool, follow_children: bool) -> Plan | str:
    """Return the plan, or why this kernel cannot have the rung."""
    missing = [p.target for p in rung.programs if not _exists(p, types)]
    missing += [name for name in _LIFE if name not in types.tracepoints]
    if missing:
        return f"this kernel has no {', '.join(missing)}"
    definitions = [rung.definition, "TYPED_LIFE"]
    programs = [*rung.programs, *_tracepoints(*_LIFE)]
    if rung.plain_loads:
        definitions += ["PLAIN_LOADS", "SOCKET_STORAGE"]
        programs.append(Program(name=_ITERATOR, hook=Hook.ITERATOR, target=f"bpf_iter_{_ITERATOR}"))
    if _READY in types.tracepoints:
        definitions.append("HAS_DATA_READY")
        programs += _tracepoints(_READY)
    if by_process:
        programs += _tracepoints("sched_process_exit")
    if follow_children:
        definitions.append("FOLLOW_CHILDREN")
        programs += _tracepoints("sched_process_fork")
    if rung is EXIT:
        definitions.append("LENGTH_COUNTS_MESSAGES")
    if rung is FEXIT:
        definitions += [
            f"{short}_ARGUMENTS={types.functions[name][1]}"
            for short, name in (("SENDMSG", "tcp_sendmsg"), ("RECVMSG", "tcp_recvmsg"))
        ]
    return Plan(rung=rung, definitions=tuple(definitions), programs=tuple(programs))


def _exists(program: Program, types: KernelTypes) -> bool:
    match program.hook:
        case Hook.TRACEPOINT:
            return program.target in types.tracepoints
        case Hook.FEXIT | Hook.KPROBE | Hook.KRETPROBE | Hook.ITERATOR:
            return program.target in types.functions


def blind_spots(rung: Rung, types: KernelTypes) -> tuple[str, ...]:
    """Say what cannot be seen here on this rung."""
    if _READY in types.tracepoints:
        return rung.blind_to
    return (*rung.blind_to, "when data became readable: wait and read delay cannot be told apart")
