"""A circuit breaker's state, as the wire shows it: calls stop after failures, single ones try, then all come back.

Calls are known when they end. The machine dates a change by what happened on the wire (the failure before the
silence, the first trial, the success before calls came back), not by when it was noticed. Times are wall-clock
nanoseconds. Nothing here is read from the worker.
"""

from collections import deque
from typing import Final

from collector.domain.metrics import Circuit, CircuitInferred, Evidence, Transition
from collector.metrics.calls import Call, failures_in_row, tripped, usual_gap
from collector.metrics.moments import shown

_S: Final = 1_000_000_000
_WINDOW_NS: Final = 10 * _S  # calls that a conclusion looks back on
_CALLS: Final = 512
_SILENT_NS: Final = 500_000_000  # the shortest silence that means something
_GAPS: Final = 8  # ... and it lasts this many usual gaps between calls,
_GAPS_IN_ROW: Final = 3  # or this many, where the last calls failed without exception
_FEWEST: Final = 5  # calls before a silence that tell of failure
_FAILED: Final = 0.5  # of them
_IN_ROW: Final = 5
_TRIALS: Final = 10  # more of them that fail without a pause are no trials
_CONFIRM: Final = 5  # good calls after a trial, or a while without a bad one: closed
_CONFIRM_NS: Final = 500_000_000
_LATEST: Final = 20  # calls that are counted for it
_FORGET_NS: Final = 120 * _S  # silence without any other work: nothing can be said any more
_KEPT: Final = 20  # transitions


class CircuitMachine:
    """The state machine of one destination. Feed calls as they end, then let time pass."""

    def __init__(self) -> None:
        self.state: Circuit = "unknown"
        self.since_ns = 0
        self.opened_confirmed = 0  # openings that a trial confirmed
        self.transitions: deque[tuple[Circuit, Circuit, int]] = deque(maxlen=_KEPT)
        self._calls: deque[Call] = deque(maxlen=_CALLS)
        self._began_last = 0
        self._active_until = 0  # the last moment at which a call was known to be under way
        self._weighed = False  # whether the two that follow take account of the latest call
        self._failing = ""  # what was seen, if a silence now means an open circuit
        self._needed_ns = _SILENT_NS  # how long that silence has to be
        self._gap_ns = 0  # the longest usual time between calls while closed
        self._bad = 0  # failed calls in half-open
        self._good_from = 0  # first good call of an unbroken run in half-open
        self._good = 0
        self._alive = False  # the service did something else during the silence
        self._reopened = 0
        self._closed_ns = 0  # from when on calls count for an opening
        self._seen: list[Evidence] = []

    # -- in --------------------------------------------------------------------------------------------------------

    def call(self, call: Call) -> None:
        """Take an attempt that ended; in the order in which they ended."""
        if self.state == "unknown":
            self._closed_ns = call.began_ns
            self._enter("closed", call.began_ns)
        self._silent_for(call.began_ns - self._active_until)
        if self.state == "open" and call.began_ns > self.since_ns:
            self._trial(call)
        self._calls.append(call)
        self._weighed = False
        self._began_last = max(self._began_last, call.began_ns)
        self._active_until = max(self._active_until, call.ended_ns)
        if self.state == "half_open" and call.began_ns >= self.since_ns:
            self._judge(call)

    @property
    def suspects(self) -> bool:
        """Whether it matters if the service does anything else now."""
        return self.state in ("open", "half_open") or (self._weighed and bool(self._failing))

    def pass_time(self, now_ns: int, *, alive: bool, busy: bool) -> None:
        """Let time pass. `alive`: the service did something else since the last time; `busy`: a call is under way."""
        if busy:
            self._active_until = max(self._active_until, now_ns)
            return
        silent_ns = now_ns - self._active_until
        self._alive = self._alive or (alive and silent_ns > 0)
        self._silent_for(silent_ns)
        if self.state == "half_open" and self._good and silent_ns < _SILENT_NS:
            if now_ns - self._good_from >= _CONFIRM_NS:
                self._close()
        elif self.state == "open" and not self._alive and silent_ns > _FORGET_NS:
            self._enter("unknown", now_ns)

    # -- closed or half-open -> open -------------------------------------------------------------------------------

    def _silent_for(self, silent_ns: int) -> None:
        """Open, if there was silence for so long after failures."""
        if silent_ns < _SILENT_NS or self.state not in ("closed", "half_open"):
            return
        if not self._weighed:
            self._weighed = True
            self._weigh()
        if self._failing and silent_ns >= self._needed_ns:
            self._open(f"{self._failing}, then none for {silent_ns / 1e9:.1f} s")

    def _weigh(self) -> None:
        """Decide what a silence after the calls so far would mean."""
        since = max(self._active_until - _WINDOW_NS, self._closed_ns)
        recent = [call for call in self._calls if call.ended_ns >= since]
        self._failing = ""
        if self.state == "half_open":
            if any(call.failed and call.began_ns >= self.since_ns for call in recent):
                self._failing = "the trial failed"
            self._needed_ns = max(_SILENT_NS, _GAPS_IN_ROW * self._gap_ns)
            return
        self._gap_ns = usual_gap(recent)
        latest = recent[-_LATEST:]
        failed, in_row = sum(call.failed for call in latest), failures_in_row(recent)
        gaps = _GAPS_IN_ROW if in_row >= _IN_ROW else _GAPS
        self._needed_ns = max(_SILENT_NS, gaps * self._gap_ns)
        if len(latest) >= _FEWEST and (failed >= _FAILED * len(latest) or in_row >= _IN_ROW):
            self._failing = (
                f"{failed} of the last {len(latest)} calls failed, {in_row} in a row, "
                f"one call every {self._gap_ns / 1e6:.0f} ms at most"
            )

    def _open(self, seen: str) -> None:
        at_ns = tripped(self._calls, self._began_last)
        if self.state == "closed":
            self._reopened = 0
            self._seen = []
            self._overlooked()
        if self.state == "half_open":
            self._reopened += 1
            self.opened_confirmed += 1  # the one before
        self._enter("open", at_ns)
        self._alive = False
        self._note(seen, at_ns)

    def _overlooked(self) -> None:
        """An opening whose pause was too short to tell shows once silence follows the trial after it, too."""
        calls = sorted(call for call in self._calls if call.began_ns >= self._closed_ns)
        for at in range(len(calls) - 1, max(len(calls) - 1 - _TRIALS, _IN_ROW - 1), -1):
            if not calls[at].failed:
                return
            before = calls[:at]
            silent_ns = calls[at].began_ns - max(call.ended_ns for call in before)
            if silent_ns >= _SILENT_NS:
                if failures_in_row(before) >= _IN_ROW:
                    at_ns = tripped(before, before[-1].began_ns)
                    self._enter("open", at_ns)
                    self._note(f"calls failed, then none for {silent_ns / 1e9:.1f} s", at_ns)
                    self._trial(calls[at])
                return

    # -- open -> half-open -> closed -------------------------------------------------------------------------------

    def _trial(self, call: Call) -> None:
        pause_s = (call.began_ns - self.since_ns) / 1e9
        self._enter("half_open", call.began_ns)
        self._good = self._bad = 0
        self._note(f"a first call after {pause_s:.1f} s of silence", call.began_ns)

    def _judge(self, call: Call) -> None:
        if call.failed:
            self._good = 0
            self._bad += 1
            if self._bad > _TRIALS:
                self._take_back(call.ended_ns)
            return
        if not self._good:
            self._good_from = call.ended_ns
        self._good += 1
        if self._good >= _CONFIRM:
            self._close()

    def _take_back(self, at_ns: int) -> None:
        """Calls go on though they fail: that was a pause for another reason, no opening."""
        self._note(f"{self._bad} calls failed without a pause: no breaker", at_ns)
        if self._reopened:
            self._enter("closed", at_ns)
            return
        self.state, self.since_ns = "closed", self._closed_ns
        for _ in range(min(2, len(self.transitions))):
            self.transitions.pop()

    def _close(self) -> None:
        self.opened_confirmed += 1
        self._closed_ns = self._good_from
        self._enter("closed", self._good_from)
        self._note(f"{self._good} good calls after the trial", self._good_from)
        self._good = 0

    @property
    def opened_total(self) -> int:
        """Openings; the latest one may be taken back until a trial confirms it."""
        return self.opened_confirmed + (self.state in ("open", "half_open"))

    # -- out -------------------------------------------------------------------------------------------------------

    def _enter(self, state: Circuit, at_ns: int) -> None:
        if self.state != "unknown":
            self.transitions.append((self.state, state, at_ns))
        self.state = state
        self.since_ns = at_ns

    def _note(self, seen: str, at_ns: int) -> None:
        self._seen.append(Evidence(seen=seen, at=shown(at_ns)))
        del self._seen[:-8]

    def inferred(self) -> CircuitInferred:
        """Return the state, and how far to trust it."""
        evidence = list(self._seen)
        if self.state == "open":
            seen = f"{'some' if self._alive else 'no'} other work of the service was seen meanwhile"
            evidence.append(Evidence(seen=seen, at=None))
        return CircuitInferred(
            state=self.state,
            since=shown(self.since_ns) if self.state != "unknown" else None,
            confidence=round(self.confidence, 2),
            evidence=tuple(evidence),
            transitions=tuple(
                Transition(before=before, after=after, at=shown(at_ns)) for before, after, at_ns in self.transitions
            ),
            opened_total=self.opened_total,
        )

    @property
    def confidence(self) -> float:
        """How far to trust the state, 0 to 1."""
        match self.state:
            case "unknown":
                return 0.0
            case "closed":
                return 0.95
            case "half_open":
                return min(0.7 + 0.1 * self._reopened, 0.9)
            case "open":
                return (0.75 if self._alive else 0.4) + min(0.1 * self._reopened, 0.2)
