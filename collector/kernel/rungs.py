"""The capability ladder: the ways to see bytes move, best first. Each is decided by load-and-fire, never by version."""

from dataclasses import dataclass, replace
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
    typed_sockets: bool  # pointers carry BTF: plain loads, and entries stand at the sockets
    needs: str  # what the kernel must have for it, for doctor
    blind_to: tuple[str, ...]  # what this rung cannot see, for doctor


def _tracepoints(*names: str) -> tuple[Program, ...]:
    return tuple(Program(name=name, hook=Hook.TRACEPOINT, target=name) for name in names)


def _entry_and_return(function: str) -> tuple[Program, ...]:
    return tuple(
        Program(name=f"{prefix}_{function}", hook=hook, target=function)
        for prefix, hook in (("enter", Hook.KPROBE), ("return", Hook.KRETPROBE))
    )


_FUNCTIONS: Final = ("tcp_sendmsg", "tcp_recvmsg")
_SENDPAGE: Final = "tcp_sendpage"  # before 6.5 sendfile and splice go this way
_MULTIPATH: Final = "Multipath TCP"

LENGTH: Final = Rung(
    name="length",
    number=1,
    definition="RUNG_LENGTH",
    programs=_tracepoints("sock_send_length", "sock_recv_length"),
    typed_sockets=True,
    needs="Linux 6.3 or later has these tracepoints",
    blind_to=("payload of sendfile, splice and io_uring (bytes are counted)",),
)
FEXIT: Final = Rung(
    name="fexit",
    number=2,
    definition="RUNG_FEXIT",
    programs=tuple(Program(name=name, hook=Hook.FEXIT, target=name) for name in _FUNCTIONS),
    typed_sockets=True,
    needs="wants BPF trampolines (x86-64, or arm64 from Linux 6.0; CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)",
    blind_to=(*LENGTH.blind_to, _MULTIPATH),
)
KPROBE: Final = Rung(
    name="kprobe",
    number=3,
    definition="RUNG_KPROBE",
    programs=tuple(program for function in _FUNCTIONS for program in _entry_and_return(function)),
    typed_sockets=False,
    needs="wants CONFIG_KPROBES and CONFIG_KPROBE_EVENTS",
    blind_to=FEXIT.blind_to,
)
EXIT: Final = Rung(
    name="exit",
    number=4,
    definition="RUNG_EXIT",
    programs=_tracepoints("sys_exit"),
    typed_sockets=False,
    needs="wants raw tracepoints (CONFIG_BPF_EVENTS, CONFIG_HAVE_SYSCALL_TRACEPOINTS)",
    blind_to=(
        *LENGTH.blind_to,
        "io_uring (seen only as a gap in the stream)",
        "a descriptor that another thread closes during the call",
    ),
)
ENTER: Final = Rung(
    name="enter",
    number=5,
    definition="RUNG_ENTER",
    programs=_tracepoints("sys_enter", "sys_exit"),
    typed_sockets=False,
    needs=EXIT.needs,
    blind_to=(
        *LENGTH.blind_to,
        "io_uring (seen only as a gap in the stream)",
        "a call that was under way when the watch began (seen as a gap in the stream)",
    ),
)
LADDER: Final = (LENGTH, FEXIT, KPROBE, EXIT, ENTER)
BY_NAME: Final = {rung.name: rung for rung in LADDER}

_LIFE: Final = ("inet_sock_set_state", "tcp_destroy_sock", "tcp_receive_reset", "tcp_retransmit_skb")
_READY: Final = "sk_data_ready"
_ITERATOR: Final = "bpf_sk_storage_map"
PREEMPT_DISABLE: Final = "bpf_preempt_disable"  # 6.10
PREEMPT_ENABLE: Final = "bpf_preempt_enable"
FUNCTIONS: Final = frozenset({*_FUNCTIONS, _SENDPAGE, f"bpf_iter_{_ITERATOR}", PREEMPT_DISABLE, PREEMPT_ENABLE})
AGAIN: Final = "_again"  # behind the name of a program's second copy
KERNEL_HEADERS: Final = "KERNEL_HEADERS"  # compile against these, where there is no BTF to make a header tree from
_TASK_HELPERS: Final = "task_pt_regs"  # 5.15; those for the task (5.11), typed cookies (5.12) and storage came before


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to compile and attach for one rung on this kernel."""

    rung: Rung
    definitions: tuple[str, ...]
    programs: tuple[Program, ...]
    socket_storage: bool  # entries stand at the sockets
    cookies: bool  # the kernel names the sockets: those older than the watch want a cookie first
    twice: bool  # the byte path's programs have second copies (decision 0505)


def plan(
    rung: Rung, types: KernelTypes, *, by_process: bool, follow_children: bool, preempts: bool = False
) -> Plan | str:
    """Return the plan, or why this kernel cannot have the rung. `preempts`: tasks that are in the kernel, too."""
    if rung is FEXIT and not types.typed:
        return "trampolines want BTF"
    preemptible = types.preemptible or (rung is FEXIT and preempts)  # kprobes never are
    if preemptible and PREEMPT_DISABLE not in types.functions:
        return "a kernel that preempts itself would mix up what trampolines record: it has no bpf_preempt_disable"
    twice = preemptible and rung is not KPROBE
    missing = [p.target for p in rung.programs if not _exists(p, types)]
    missing += [name for name in _LIFE if name not in types.tracepoints]
    if missing:
        return f"this kernel has no {', '.join(missing)}"
    helpers = _TASK_HELPERS in types.helpers
    definitions = [rung.definition, "HAS_TASK_HELPERS" if helpers else "IDENTITY_BY_ADDRESS"]
    if not types.typed:
        definitions.append(KERNEL_HEADERS)
    definitions += [*(["PREEMPTIBLE"] if preemptible else []), *(["TWICE"] if twice else [])]
    programs = [*_copies(rung.programs, twice=twice), *_tracepoints(*_LIFE)]
    socket_storage = helpers and rung.typed_sockets
    if socket_storage:
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
    if rung in {EXIT, ENTER}:
        definitions.append("LENGTH_COUNTS_MESSAGES")
    if rung in {FEXIT, KPROBE}:
        sends_pages = _SENDPAGE in types.functions
        definitions += [
            f"{name.removeprefix('tcp_').upper()}_ARGUMENTS={types.functions[name][1]}"
            for name in (*_FUNCTIONS, *([_SENDPAGE] if sends_pages else []))
        ]
        if sends_pages:
            page = Program(name=_SENDPAGE, hook=Hook.FEXIT, target=_SENDPAGE)
            programs += [page] if rung is FEXIT else _entry_and_return(_SENDPAGE)
    return Plan(
        rung=rung,
        definitions=tuple(definitions),
        programs=tuple(programs),
        socket_storage=socket_storage,
        cookies=helpers and not socket_storage,
        twice=twice,
    )


def _copies(programs: tuple[Program, ...], *, twice: bool) -> tuple[Program, ...]:
    """Return programs with their second copies, in the order in which they have to be attached.

    A tracepoint runs its programs as they came, a trampoline the newest first.
    """
    if not twice:
        return programs
    copies = tuple(replace(program, name=program.name + AGAIN) for program in programs)
    return (*copies, *programs) if programs[0].hook is Hook.FEXIT else (*programs, *copies)


def _exists(program: Program, types: KernelTypes) -> bool:
    match program.hook:
        case Hook.TRACEPOINT:
            return program.target in types.tracepoints
        case Hook.FEXIT | Hook.KPROBE | Hook.KRETPROBE | Hook.ITERATOR:
            return program.target in types.functions


def blind_spots(rung: Rung, types: KernelTypes) -> tuple[str, ...]:
    """Say what cannot be seen here on this rung."""
    blind = list(rung.blind_to)
    if _TASK_HELPERS not in types.helpers and _MULTIPATH not in blind:
        blind.append(_MULTIPATH)
    if _READY not in types.tracepoints:
        blind.append("when data became readable: wait and read delay cannot be told apart")
    if types.preemptible and rung is not KPROBE:
        blind.append("a call while two other tasks are preempted within our programs (seen as a gap in the stream)")
    return tuple(blind)
