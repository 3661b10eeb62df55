"""What was lost, where and why, and whether the totals balance."""

from typing import Literal

import msgspec

from api.dto.feed import FeedStatistics


class Untraced(msgspec.Struct, frozen=True, kw_only=True):
    """Events that have no trace ID, and so are not on the feed."""

    exchanges: int
    connections: int  # connection events never have one


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """One equation of totals; `difference` is what is under way, or wrong where it stays."""

    equation: str
    left: int
    right: int
    difference: int


class Losses(msgspec.Struct, frozen=True, kw_only=True):
    """Losses by stage and reason, since the start. An absent stage lost nothing."""

    total: int
    stages: dict[str, dict[str, int]]
    untraced: Untraced
    records: dict[str, int]  # captured, decoded, lost
    kernel: dict[str, int]  # the kernel's own totals of what watched connections moved
    exchanges: dict[str, int]  # told, by role
    feed: FeedStatistics
    balance: list[Balance]


class Invariant(msgspec.Struct, frozen=True, kw_only=True):
    """One invariant, judged by what was observed since the start."""

    id: Literal["I1", "I2", "I3", "I4", "I5"]
    name: str
    status: Literal["holds", "violated", "not_measured"]
    checked: int  # things that were judged
    violations: int
    detail: str
    not_measured: list[str]  # parts that cannot be judged from here, each with its reason
    evidence: list[str]  # IDs of some exchanges that violate it


class Invariants(msgspec.Struct, frozen=True, kw_only=True):
    """The five invariants."""

    invariants: list[Invariant]
