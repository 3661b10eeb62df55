"""What a store can do, whichever it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

SHA256: Final = "netscope-sha256"  # metadata names
CONTENT_SHA256: Final = "netscope-content-sha256"
EVENTS: Final = "netscope-events"


@dataclass(frozen=True, slots=True, order=True)
class Listed:
    """An object as a listing shows it."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Held:
    """An object as the store has it: `md5` where the store knows it (hexadecimal), else empty."""

    size: int
    md5: str
    about: dict[str, str]


class Store(Protocol):
    """Objects by name. Every call raises StoreProblem with its refusal where it cannot be done."""

    @property
    def place(self) -> str:
        """Return where it is, for people."""
        ...

    @property
    def refuses_overwriting(self) -> bool:
        """Tell whether `put` itself makes sure that an object of that name is not there yet."""
        ...

    def put(self, key: str, body: bytes, *, md5: bytes, about: dict[str, str]) -> None:
        """Store an object; it is there, whole and durable, when this returns. Raises ObjectExists."""
        ...

    def head(self, key: str) -> Held | None:
        """Return what is there under that name."""
        ...

    def get(self, key: str) -> Iterator[bytes]:
        """Return an object's bytes. Raises ObjectMissing."""
        ...

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Return all objects whose name begins so, in order of name."""
        ...

    def folders(self, prefix: str) -> list[str]:
        """Return the next step of all names that begin so: up to and with the next slash."""
        ...
