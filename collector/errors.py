"""What can go wrong in front of a person: each with its exit code and, where there is one, the fix."""


class CollectorProblem(Exception):
    """Something that ends the command with a clear line. Exit code 1."""

    exit_code = 1

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class UsageProblem(CollectorProblem):
    """The call's words are off. Exit code 2."""

    exit_code = 2


class ConfigurationProblem(UsageProblem):
    """The configuration is not valid; every problem is named, one a line."""


class PreflightFailed(CollectorProblem):
    """This host cannot be observed as it is. Exit code 3."""

    exit_code = 3
