"""What the wire shows beside what a worker says of itself; they disagree only where no timing explains the difference.

A report is made at some moment before it is compared. So it is judged by our counts two reports earlier and one later:
a total must lie between them, plus what the worker had counted before we watched, which is the same all along.
"""

from dataclasses import dataclass, field
from typing import Final

from collector.domain.metrics import Circuit, Disagreement, WorkerReport

_BACK: Final = 2
_TOTALS: Final = ("attempts_total", "retries_total", "timeouts_total")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Our side of the comparison, as of now."""

    attempts_total: int
    retries_total: int
    timeouts_total: int
    circuit: Circuit
    circuits: frozenset[Circuit]  # states it was in since the report before the last one


@dataclass(slots=True)
class _Total:
    """One counter of the worker beside ours."""

    _range: tuple[int, int] | None = None  # where what the worker had counted before lies
    _ours: tuple[int, ...] = ()  # at the last two reports
    _waiting: tuple[int, int] | None = None  # the last report, our count two reports before it
    _reported: int = 0

    def judge(self, reported: int, ours: int) -> bool | None:
        """Take a report and our count; return whether the report before agreed, None if that cannot be told."""
        if reported < self._reported:  # the worker began anew
            self._range, self._waiting, self._ours = None, None, ()
        verdict = None
        if self._waiting is not None:
            before, earlier = self._waiting
            verdict = self._fits(before - ours, before - earlier)
        self._waiting = (reported, self._ours[0]) if len(self._ours) == _BACK else None
        self._ours, self._reported = (*self._ours, ours)[-_BACK:], reported
        return verdict

    def _fits(self, low: int, high: int) -> bool | None:
        if self._range is None:
            self._range = (low, high)
            return None
        both = (max(low, self._range[0]), min(high, self._range[1]))
        self._range = both if both[0] <= both[1] else (low, high)
        return both[0] <= both[1]


@dataclass(slots=True)
class Comparison:
    """One destination, report after report."""

    report: WorkerReport | None = None
    compared: int = 0
    disagreed: int = 0
    disagreements: tuple[Disagreement, ...] = ()
    _totals: dict[str, _Total] = field(default_factory=lambda: {name: _Total() for name in _TOTALS})

    def take(self, report: WorkerReport, observed: Observed) -> None:
        """Take what the worker says now; judge what it said before."""
        found: list[Disagreement] = []
        for name, total in self._totals.items():
            reported, ours = getattr(report, name), getattr(observed, name)
            if reported is not None:
                self._note(name, ours, reported, agreed=total.judge(reported, ours), found=found)
        before = self.report
        if before is not None and before.circuit is not None and observed.circuit != "unknown":
            agreed = before.circuit in observed.circuits
            self._note("circuit", observed.circuit, before.circuit, agreed=agreed, found=found)
        self.disagreements = tuple(found)
        self.report = report

    def _note(
        self, figure: str, ours: object, reported: object, *, agreed: bool | None, found: list[Disagreement]
    ) -> None:
        if agreed is None:
            return
        self.compared += 1
        if not agreed:
            self.disagreed += 1
            found.append(Disagreement(figure=figure, observed=str(ours), reported=str(reported)))
