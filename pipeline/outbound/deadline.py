"""The moment by which a call has to have ended, whatever happens in between."""

import msgspec


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """One moment on the caller's clock, in seconds."""

    at: float

    @classmethod
    def after(cls, seconds: float, *, now: float) -> "Deadline":
        """Return the deadline that lies so many seconds ahead."""
        return cls(at=now + seconds)

    def remaining(self, now: float) -> float:
        """Return the seconds left, never below zero."""
        return max(0.0, self.at - now)

    def passed(self, now: float) -> bool:
        """Tell whether nothing may start any more."""
        return now >= self.at

    def sooner(self, seconds: float, *, now: float) -> float:
        """Return the end of a step that may take so many seconds, cut at the deadline."""
        return min(self.at, now + seconds)
