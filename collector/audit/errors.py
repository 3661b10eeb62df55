"""What can go wrong with the archive."""

from typing import Literal

from collector.errors import CollectorProblem

Refusal = Literal["ambiguous", "slow", "permanent"]


class AuditProblem(CollectorProblem):
    """Something about the archive that a person has to know."""


class SpoolFormatProblem(AuditProblem):
    """Bytes that are no spool segment this version can read."""


class StoreProblem(AuditProblem):
    """The store did not do what it was asked.

    `ambiguous`: nobody knows whether it was done: ask, compare, then repeat. `slow`: somebody has to mend something:
    repeat slowly. `permanent`: repeating will not help.
    """

    def __init__(self, message: str, *, refusal: Refusal, fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.refusal: Refusal = refusal


class ObjectExists(StoreProblem):
    """There is an object of that name already."""


class ObjectMissing(StoreProblem):
    """There is no object of that name."""


class ArchiveNotSound(AuditProblem):
    """Verification found something that is not as it was written."""
