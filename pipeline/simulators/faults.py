"""What the simulated API does wrong, by route, in shares drawn from a seed: the same seed gives the same sequence."""

import math
import random
from typing import Final, TypeAlias

import msgspec

from pipeline.errors import ScriptInvalid


class _Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    share: float  # of the requests, 0 to 1


class Status(_Fault, frozen=True, kw_only=True, tag="status"):
    """Answer with this status, before or after the effect."""

    status: int
    retry_after_s: int | None = None
    after_effect: bool = False


class Hang(_Fault, frozen=True, kw_only=True, tag="hang"):
    """Never answer."""

    after_effect: bool = False


class Reset(_Fault, frozen=True, kw_only=True, tag="reset"):
    """End the connection with RST instead of an answer."""

    after_effect: bool = False


class ResetMidBody(_Fault, frozen=True, kw_only=True, tag="reset_mid_body"):
    """Have the effect, begin the answer, then RST."""


class Drip(_Fault, frozen=True, kw_only=True, tag="drip"):
    """Have the effect, then send the answer's body a byte at a time."""

    every_s: float = 0.1


class SlowHeaders(_Fault, frozen=True, kw_only=True, tag="slow_headers"):
    """Send the answer's head a byte at a time."""

    every_s: float = 0.1


class ShortBody(_Fault, frozen=True, kw_only=True, tag="short_body"):
    """Have the effect, promise more bytes than come, and close."""


Fault: TypeAlias = Status | Hang | Reset | ResetMidBody | Drip | SlowHeaders | ShortBody


class Latency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an answer takes: log-normal around a median; sigma 0 makes it constant."""

    median_ms: float = 0.0
    sigma: float = 0.0

    def draw_s(self, source: random.Random) -> float:
        """Return one latency in seconds."""
        if self.sigma == 0.0 or self.median_ms == 0.0:
            return self.median_ms / 1000
        return self.median_ms / 1000 * math.exp(source.gauss(0.0, self.sigma))


class RouteScript(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One route: how long, and what goes wrong how often."""

    latency: Latency = Latency()
    faults: tuple[Fault, ...] = ()


class FaultScript(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All routes, by the first segment of their path; `*` stands for the others."""

    seed: int = 0
    routes: dict[str, RouteScript] = {}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one request."""

    latency_s: float
    fault: Fault | None


_ANY: Final = "*"


def parse(text: bytes) -> FaultScript:
    """Read a script from JSON. Raises ScriptInvalid."""
    try:
        script = msgspec.json.decode(text, type=FaultScript)
    except msgspec.DecodeError as problem:
        raise ScriptInvalid(str(problem)) from problem
    for route, one in script.routes.items():
        if sum(fault.share for fault in one.faults) > 1 or any(fault.share < 0 for fault in one.faults):
            raise ScriptInvalid(f"route {route!r}: the shares must lie in 0..1 and sum to at most 1")
    return script


class FaultSource:
    """Draws the plans of one script."""

    def __init__(self, script: FaultScript) -> None:
        self._script = script
        self._sources: dict[str, random.Random] = {}

    def plan(self, path: str) -> Plan:
        """Return what happens to the next request on this path."""
        name = path.lstrip("/").split("/", 1)[0]
        route = self._script.routes.get(name) or self._script.routes.get(_ANY)
        if route is None:
            return Plan(latency_s=0.0, fault=None)
        source = self._sources.get(name)
        if source is None:
            # no secrets here: a sequence that can be repeated
            source = self._sources[name] = random.Random(f"{self._script.seed} {name}")  # noqa: S311
        latency_s = route.latency.draw_s(source)
        return Plan(latency_s=latency_s, fault=_pick(route.faults, source.random()))


def _pick(faults: tuple[Fault, ...], point: float) -> Fault | None:
    for fault in faults:
        if point < fault.share:
            return fault
        point -= fault.share
    return None
