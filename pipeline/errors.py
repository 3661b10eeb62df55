"""Everything that the pipeline raises on purpose."""


class PipelineError(Exception):
    """The root: whatever is not one of these is a bug."""


class ConfigInvalid(PipelineError):
    """The configuration cannot be used; every problem is named, one a line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class PreflightFailed(PipelineError):
    """Something that the worker cannot start without is missing or out of reach; every problem is named, one a line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class RecordInvalid(PipelineError):
    """A record that no retry can make deliverable: it belongs to the dead letters."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class WorkerStalled(PipelineError):
    """Work was under way and nothing ended for too long: a bug, so the process ends and is started anew."""


class ScriptInvalid(PipelineError):
    """A fault script that the simulated API cannot follow."""


class SimulatorFailed(PipelineError):
    """A part of the demo did not start or ended early."""


class BrokerGone(PipelineError):
    """Kafka did not do what it was asked in time; it may later."""


class Fenced(PipelineError):
    """The group has a new generation: what was to be committed is somebody else's now."""


class TooLarge(PipelineError):
    """Kafka takes no record of this size on that topic."""
