"""A record as Kafka delivered it, without Kafka's library."""

from typing import TypeAlias

import msgspec

Partition: TypeAlias = tuple[str, int]  # topic, number
Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record, and the generation of the assignment that it was read under."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    unreadable: bool = False  # it is there, but Kafka's library cannot read it: neither key nor value nor headers
    generation: int = 0
    read_at: float = 0.0  # seconds on the loop's clock

    def header(self, name: str) -> list[bytes]:
        """Return every non-null value of a header, names compared without case."""
        return [value for key, value in self.headers if value is not None and key.lower() == name]
