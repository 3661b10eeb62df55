"""The shape of the delays between attempts: constant, growing, or drawn at random below a ceiling."""

from collections import deque
from typing import Final

from collector.domain.metrics import BackoffForm, BackoffInferred, BackoffStep, Evidence

_STEPS: Final = 8
_SAMPLES: Final = 256
_FEWEST: Final = 5  # delays of one step that tell a shape
_STEADY: Final = 0.25  # spread over middle, below which a delay is not drawn at random
_SLACK_MS: Final = 5.0  # that a timer and an event loop add
_GROWTH: Final = 1.4


class BackoffShape:
    """The latest delays before each retry of one destination."""

    __slots__ = ("_delays",)

    def __init__(self) -> None:
        self._delays: dict[int, deque[float]] = {}

    def add(self, retry: int, delay_ms: float) -> None:
        """Take the time between the end of an attempt and the start of the n-th retry."""
        step = min(retry, _STEPS)
        if step not in self._delays:
            self._delays[step] = deque(maxlen=_SAMPLES)
        self._delays[step].append(max(delay_ms, 0.0))

    def inferred(self) -> BackoffInferred | None:
        """Return the shape; None where no retry was seen."""
        if not self._delays:
            return None
        ordered = {retry: sorted(delays) for retry, delays in sorted(self._delays.items())}
        steps = tuple(
            BackoffStep(
                retry=retry,
                samples=len(delays),
                min_ms=round(delays[0], 3),
                p50_ms=round(_at(delays, 0.5), 3),
                max_ms=round(delays[-1], 3),
            )
            for retry, delays in ordered.items()
        )
        told = {retry: delays for retry, delays in ordered.items() if len(delays) >= _FEWEST}
        form, base, factor = _form(told)
        samples = sum(map(len, told.values()))
        confidence = 0.0 if form == "unknown" else samples / (samples + 10) * (0.7 if len(told) == 1 else 1.0)
        return BackoffInferred(
            form=form,
            base_ms=None if base is None else round(base, 3),
            factor=None if factor is None else round(factor, 2),
            steps=steps,
            confidence=round(confidence, 3),
            evidence=tuple(
                Evidence(
                    seen=f"retry {one.retry}: {one.samples} delays of {one.min_ms:.0f} to {one.max_ms:.0f} ms", at=None
                )
                for one in steps
            ),
        )


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _form(told: dict[int, list[float]]) -> tuple[BackoffForm, float | None, float | None]:
    """Return form, base (ms) and factor from sorted delays by retry."""
    if not told:
        return "unknown", None, None
    jittered = any(_at(one, 0.9) - _at(one, 0.1) > _STEADY * _at(one, 0.5) + _SLACK_MS for one in told.values())
    # the highest of n even draws below c lies at c * n / (n + 1)
    sizes = {retry: one[-1] * (len(one) + 1) / len(one) if jittered else _at(one, 0.5) for retry, one in told.items()}
    first, last = min(sizes), max(sizes)
    base = sizes[first]
    factor = (sizes[last] / base) ** (1 / (last - first)) if last > first and base > 0 else None
    if jittered:
        return "jittered", base, factor
    if factor is not None and factor >= _GROWTH:
        return "exponential", base, factor
    return "constant", base, factor
