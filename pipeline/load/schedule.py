"""When records are due: an open model, whose rate does not depend on whether anybody keeps up."""

import itertools
from collections.abc import Iterator

import msgspec


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """From this second on, this rate."""

    at_s: float
    rate: float


class Spike(msgspec.Struct, frozen=True, kw_only=True):
    """From this second on, for so long, this rate instead."""

    at_s: float
    rate: float
    for_s: float


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Steps in order of time, the first at 0, and spikes on top of them."""

    steps: tuple[Step, ...]
    spikes: tuple[Spike, ...] = ()

    def rate(self, at_s: float) -> float:
        """Return the records per second that are due at a moment."""
        for spike in self.spikes:
            if spike.at_s <= at_s < spike.at_s + spike.for_s:
                return spike.rate
        return next(step.rate for step in reversed(self.steps) if step.at_s <= at_s)

    def starts(self, *, duration_s: float) -> Iterator[float]:
        """Yield the intended start of each record, in seconds from the beginning."""
        edges = sorted(
            {step.at_s for step in self.steps} | {s.at_s for s in self.spikes} | {s.at_s + s.for_s for s in self.spikes}
        )
        edges = [edge for edge in edges if edge < duration_s] + [duration_s]
        for begin, end in itertools.pairwise(edges):
            rate = self.rate(begin)
            for n in range(round((end - begin) * rate)):
                yield begin + n / rate
