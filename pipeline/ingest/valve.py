"""When to stop reading, and when to go on: back-pressure with a gap between the two, so that it does not flutter."""

import msgspec


class ValvePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on the records in memory."""

    high: int = 1000
    low: int = 500
    max_span: int = 8000  # records of one partition beyond its first open one; bounds what a commit has to note


class Valve:
    """Open or shut."""

    def __init__(self, policy: ValvePolicy) -> None:
        self._policy = policy
        self.open = True
        self.shut_total = 0

    def turn(self, *, held: int, longest: int) -> bool:
        """Set by the records held in memory and the longest partition; returns whether it is open."""
        policy = self._policy
        if self.open and (held >= policy.high or longest >= policy.max_span):
            self.open = False
            self.shut_total += 1
        elif not self.open and held <= policy.low and longest <= policy.max_span // 2:
            self.open = True
        return self.open
