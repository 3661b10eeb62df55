"""What the loader is asked for, and what it answers: JSON over a socketpair, descriptors beside it."""

import msgspec


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What to watch; kinds that are set must all match, entries of one kind any."""

    pids: tuple[int, ...] = ()
    with_children: tuple[int, ...] = ()  # these and the processes they start
    comms: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    cgroup_ids: tuple[int, ...] = ()
    excluded: tuple[int, ...] = ()  # the observer's own processes


class LoadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One load: `rung` is a name of the ladder or "auto"."""

    rung: str = "auto"
    ring_size: int = 1 << 23
    max_connections: int = 1 << 17
    cache: str = "/var/cache/netscope"
    filters: Filters = Filters()
    statistics: bool = False  # let the kernel time the programs, where it can
    measure: bool = False  # also measure what a send and receive cost with and without the programs


class RungResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one rung fared."""

    name: str
    loaded: bool
    fired: bool
    reason: str = ""
    verifier: tuple[str, ...] = ()
    cost_ns: float | None = None  # added per send and receive pair on loopback
    blind_to: tuple[str, ...] = ()


class LoadReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. Descriptors, in this order: events, CPU states, hints, `tables` for the broker, then attachments.

    Tables: the connections hash, `iterators` over entries that stand at their sockets, `programs`, where those are
    timed what keeps them so, where there are `returns` what removes them.
    """

    rung: str | None
    tried: tuple[RungResult, ...]
    cpus: int = 0
    tables: int = 0
    iterators: int = 0
    programs: tuple[str, ...] = ()
    timed: bool = False
    returns: tuple[str, ...] = ()  # events in tracefs, to be removed at the end
    sequences: dict[int, int] = {}
    counters: tuple[tuple[int, ...], ...] = ()  # of every CPU, before the filters came into force
    warm: bool = False
    problem: str = ""
    untyped: str = ""  # why the kernel's BTF could not be used
