"""Health, as draft-inadarei-api-health-check has it (application/health+json)."""

from typing import Literal

import msgspec

Status = Literal["pass", "warn", "fail"]


class Check(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that was looked at."""

    component_type: Literal["component", "datastore", "system"]
    status: Status
    time: str
    observed_value: int | float | str | None = None
    observed_unit: str | None = None
    output: str | None = None  # why it does not pass


class Health(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether the service lives, or is ready to answer for what it observes."""

    status: Status
    version: str
    release_id: str
    service_id: str  # this run
    description: str
    output: str | None = None  # the reasons, where it does not pass
    checks: dict[str, list[Check]]
