"""Attempts that ended, and what a run of them shows."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple


class Call(NamedTuple):
    """One attempt that ended."""

    began_ns: int
    ended_ns: int
    failed: bool


def tripped(calls: Iterable[Call], began_last_ns: int) -> int:
    """Return when a breaker opened: at the first failure that no call followed; those under way went on failing."""
    failures = [call.ended_ns for call in calls if call.failed]
    return min((end for end in failures if end > began_last_ns), default=max(failures))


def usual_gap(calls: Sequence[Call]) -> int:
    """Return the usual gap between beginnings, so that a slow caller's pauses mean nothing."""
    begun = sorted(call.began_ns for call in calls[-100:])
    gaps = sorted(after - before for before, after in pairwise(begun))
    return gaps[int(len(gaps) * 0.9)] if gaps else 0


def failures_in_row(calls: Sequence[Call]) -> int:
    """Return how many calls failed at the end of a run, without exception."""
    number = 0
    for call in reversed(calls):
        if not call.failed:
            break
        number += 1
    return number
