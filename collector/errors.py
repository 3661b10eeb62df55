"""What can go wrong in front of a person: each with its exit code and, where there is one, the fix."""

import difflib
from collections.abc import Iterable


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


class Interrupted(CollectorProblem):
    """Told a second time to end, before everything was written. Exit code 130."""

    exit_code = 130


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return `; did you mean X?` where a choice is near, else nothing."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""
