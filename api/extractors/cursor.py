"""Cursors of pages: the run they belong to and the `seq` they stand at."""

from api.errors import ApiProblem


def make(epoch: str, before: int | None) -> str | None:
    """Return the cursor of the next page, None behind the last."""
    return None if before is None else f"{epoch}.{before}"


def read(epoch: str, cursor: str | None) -> int | None:
    """Return the `seq` below which to go on. Raises ApiProblem for a cursor of another run."""
    if cursor is None:
        return None
    run, _, seq = cursor.partition(".")
    if run != epoch:
        raise ApiProblem(
            404, "unknown-cursor", "The cursor belongs to another run of the collector", "begin again without cursor="
        )
    return int(seq)
