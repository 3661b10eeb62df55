"""The loader: a short-lived root process that compiles, loads, attaches, proves, and hands the descriptors over.

Run as `python -m collector.kernel.loader FD`: one LoadRequest is read from the socket FD, one LoadReply written.
"""

import contextlib
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from collector.kernel import (
    abi,
    attach,
    bpf_syscall,
    btf,
    canary,
    census,
    compiler,
    headers,
    maps,
    preemption,
    privileges,
    symbols,
)
from collector.kernel.errors import BadTypes, KernelProblem, KernelRefused
from collector.kernel.namespaces import has_host_pids
from collector.kernel.request import Filters, LoadReply, LoadRequest, RungResult
from collector.kernel.return_probes import ReturnProbes
from collector.kernel.ring import CpuStates, Ring
from collector.kernel.rungs import BY_NAME, FUNCTIONS, LADDER, Hook, Plan, Rung, blind_spots, plan
from collector.stderr import say

_HANDED_OVER: Final = (abi.MAP_EVENTS, abi.MAP_CPUS, abi.MAP_HINTS)
_FOREIGN: Final = (
    "a process cannot be chosen by its number or as a command here, where PIDs are not the host's: run on the host or"
    " with --pid=host, or choose by --port, --comm or --cgroup"
)
_SETTLE_S: Final = 0.005
_NOBODY: Final = Filters(pids=(0xFFFFFFFF,))
_UNPROVEN, _CANARY, _SETTLING, _IN_FORCE = 1, 2, 3, 4  # generations of filters: a socket remembers which one said no


class Load:
    """One rung loaded: its maps and attachments."""

    def __init__(self, request: LoadRequest, chosen: Plan) -> None:
        self.maps = maps.make_maps(request, socket_storage=chosen.socket_storage, twice=chosen.twice)
        self.attachments: list[int] = []
        self.iterators: list[int] = []
        self.programs: list[str] = []
        self.held: list[int] = []  # the programs
        self.timing: list[int] = []  # what keeps them timed
        self.returns = ReturnProbes()
        self.request = request
        self.sequences: dict[int, int] = {}
        self.counters: tuple[tuple[int, ...], ...] = ()

    def run(self, chosen: Plan, identity: str, types: btf.KernelTypes) -> None:
        """Compile, load and attach. Raises KernelRefused."""
        maps.watch(self.maps, _NOBODY, generation=_UNPROVEN)  # what passes now would stay watched
        names = tuple(program.name for program in chosen.programs)
        code = compiler.compile_programs(Path(self.request.cache), identity, chosen.definitions, names)
        for program in chosen.programs:
            instructions = maps.link(code[program.name], self.maps, types.functions)
            held = self.iterators if program.hook is Hook.ITERATOR else self.attachments
            held += attach.load_and_attach(program, instructions, types, self.maps, self.returns)
            if held is self.attachments:
                self.programs.append(program.name)

    def prove(self) -> str:
        """Let the canary sing; afterwards nothing of it is left. Return what it missed."""
        states = CpuStates(self.maps[abi.MAP_CPUS], maps.possible_cpus())
        ring = Ring(self.maps[abi.MAP_EVENTS], self.request.ring_size, states.sequences())
        missed = canary.sing(ring, lambda filters: maps.watch(self.maps, filters, generation=_CANARY))
        maps.watch(self.maps, _NOBODY, generation=_SETTLING)
        time.sleep(_SETTLE_S)
        maps.forget_connections(self.maps)
        while ring.drain():
            pass
        self.sequences, self.counters = states.sequences(), tuple(states.read())
        ring.close()
        states.close()
        return missed

    def hold_programs(self, *, timed: bool) -> None:
        """Keep what tells how they fare; let the kernel time them, if wanted: before 5.8 it can do neither."""
        with contextlib.suppress(OSError):
            for one in self.attachments:
                self.held.append(bpf_syscall.program_of(one))
            self.timing += [bpf_syscall.enable_statistics()] if timed else []
        del self.programs[len(self.held) :]

    def tables(self) -> list[int]:
        """Return what the broker is to have, in the order of LoadReply."""
        removal = [self.returns.descriptor] if self.returns.names else []
        return [self.maps[abi.MAP_CONNECTIONS], *self.iterators, *self.held, *self.timing, *removal]

    def close(self) -> None:
        """Detach and forget."""
        for descriptor in (*self.attachments, *self.iterators, *self.held, *self.timing, *self.maps.values()):
            os.close(descriptor)
        self.returns.close()


def load(request: LoadRequest) -> tuple[LoadReply, Load | None]:
    """Climb down the ladder until a rung loads and fires."""
    if (request.filters.pids or request.filters.with_children) and not has_host_pids():
        raise KernelRefused(_FOREIGN)
    _lift_memory_limit()
    try:
        return _climb(request, *_types())
    except BadTypes as problem:
        return _climb(request, *_symbols(str(problem)))


def _climb(request: LoadRequest, identity: str, types: btf.KernelTypes, untyped: str) -> tuple[LoadReply, Load | None]:
    warm = compiler.is_warm(Path(request.cache), identity)
    baseline = canary.pair_cost_ns() if request.measure else 0.0
    tried: list[RungResult] = []
    for rung in LADDER if request.rung == "auto" else (BY_NAME[request.rung],):
        result, loaded = _try_rung(rung, request, identity, types, baseline)
        tried.append(result)
        if loaded:
            loaded.hold_programs(timed=request.statistics)
            reply = LoadReply(
                rung=rung.name,
                tried=tuple(tried),
                cpus=maps.possible_cpus(),
                tables=len(loaded.tables()),
                iterators=len(loaded.iterators),
                programs=tuple(loaded.programs),
                timed=bool(loaded.timing),
                returns=tuple(loaded.returns.names),
                sequences=loaded.sequences,
                counters=loaded.counters,
                warm=warm,
                untyped=untyped,
            )
            return reply, loaded
    return LoadReply(rung=None, tried=tuple(tried), warm=warm, untyped=untyped), None


def _types() -> tuple[str, btf.KernelTypes, str]:
    """Return the kernel's identity, what it has, and why its BTF could not be used ("" where it could)."""
    try:
        blob = btf.vmlinux()
        return headers.identity_of(blob), btf.read_kernel_types(blob, FUNCTIONS), ""
    except KernelRefused as refusal:
        return _symbols(str(refusal))


def _symbols(problem: str) -> tuple[str, btf.KernelTypes, str]:
    return headers.build_hash(), symbols.read_symbols(FUNCTIONS), problem


def _lift_memory_limit() -> None:
    """Before 5.11 maps and programs count as locked memory, of which even root has little."""
    with contextlib.suppress(ValueError, OSError):  # without CAP_SYS_RESOURCE: the kernel will say what lacks
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _try_rung(
    rung: Rung, request: LoadRequest, identity: str, types: btf.KernelTypes, baseline: float
) -> tuple[RungResult, Load | None]:
    wanted = request.filters
    chosen = plan(
        rung,
        types,
        by_process=bool(wanted.pids or wanted.with_children),
        follow_children=bool(wanted.with_children),
        preempts=preemption.preempts(),
    )
    if isinstance(chosen, str):
        return RungResult(name=rung.name, loaded=False, fired=False, reason=chosen), None
    attempt = None
    try:
        attempt = Load(request, chosen)
        attempt.run(chosen, identity, types)
        if chosen.cookies:
            census.give_cookies()
    except BadTypes:
        if attempt:
            attempt.close()
        raise
    except KernelRefused as refusal:
        if attempt:
            attempt.close()
        result = RungResult(name=rung.name, loaded=False, fired=False, reason=str(refusal), verifier=refusal.verifier)
        return result, None
    if missed := attempt.prove():
        attempt.close()
        return RungResult(name=rung.name, loaded=True, fired=False, reason=missed), None
    cost = canary.pair_cost_ns() - baseline if baseline else None
    blind = blind_spots(rung, types)
    return RungResult(name=rung.name, loaded=True, fired=True, cost_ns=cost, blind_to=blind), attempt


def refused(reply: LoadReply) -> str:
    """Say in one line which better rungs the kernel has but did not take; "" where there is none."""
    if reply.rung is None:
        return ""
    tried = [result for result in reply.tried if not result.fired and (result.verifier or result.loaded)]
    reasons = [f"{result.name}: {(result.verifier or (result.reason,))[-1]}" for result in tried]
    if reply.untyped:
        reasons.insert(0, f"{reply.untyped} (kernel headers in its place)")
    return f"warning: rung {reply.rung} in place of a better one: {'; '.join(reasons)}" if reasons else ""


def _meant(filters: Filters) -> Filters:
    """In a container with PIDs of its own the observer's would name others: it then sees itself, too."""
    return filters if has_host_pids() else msgspec.structs.replace(filters, excluded=())


def main() -> None:
    """Serve one request over the socket named on the command line."""
    privileges.die_with_parent(signal.SIGKILL)  # with nobody to hand over to, nothing may be attached
    link = socket.socket(fileno=int(sys.argv[1]))
    request = msgspec.json.decode(link.recv(1 << 20), type=LoadRequest)
    try:
        reply, loaded = load(request)
    except KernelProblem as problem:
        link.send(msgspec.json.encode(LoadReply(rung=None, tried=(), problem=str(problem))))
        return
    descriptors: list[int] = []
    if warning := refused(reply):
        say(f"collector: {warning}")
    if loaded:
        descriptors = [*(loaded.maps[number] for number in _HANDED_OVER), *loaded.tables(), *loaded.attachments]
        maps.watch(loaded.maps, _meant(request.filters), generation=_IN_FORCE)
    socket.send_fds(link, [msgspec.json.encode(reply)], descriptors)


if __name__ == "__main__":
    main()
