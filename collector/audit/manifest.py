"""The manifest: what one writer put into the store up to the end of an hour, in sha256sum's format. No I/O.

Header lines begin with `#`, which `sha256sum -c` skips. The first entry is the manifest before this one, so that
`sha256sum -c` follows the chain, too. docs/specs/archive.md, "Manifests".
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from collector.audit.errors import ArchiveNotSound

NO_MANIFEST: Final = "0" * 64
_TITLE: Final = "# netscope-manifest 1.0"
_ENTRY: Final = re.compile(r"([0-9a-f]{64})  (\S.*)")
_NUMBERS: Final = ("number", "first", "last", "events", "lost", "damaged", "segment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One manifest. `last` is `first - 1` where there was nothing."""

    writer: str
    number: int  # from 1, without holes
    hour: str  # `2026-11-21T07`
    previous: str  # SHA-256 of the manifest before, or zeros
    first: int  # sequence numbers
    last: int
    events: int  # lines in the objects below
    lost: int  # by the loss events among them
    damaged: int  # sequence numbers whose records could not be read any more
    segment: int  # last spool segment covered
    key: str  # fingerprint of the signing key, or `none`
    entries: tuple[tuple[str, str], ...]  # (sha256, name)

    def encode(self) -> bytes:
        """Return the file's bytes."""
        head = [
            _TITLE,
            f"# writer: {self.writer}",
            f"# number: {self.number}",
            f"# hour: {self.hour}",
            f"# previous: {self.previous}",
            f"# first: {self.first}",
            f"# last: {self.last}",
            f"# events: {self.events}",
            f"# lost: {self.lost}",
            f"# damaged: {self.damaged}",
            f"# segment: {self.segment}",
            f"# key: {self.key}",
        ]
        return ("\n".join([*head, *(f"{digest}  {name}" for digest, name in self.entries)]) + "\n").encode()


def decode(data: bytes) -> Manifest:
    """Read a manifest. Raises ArchiveNotSound where it is not one, to the letter."""
    try:
        lines = data.decode("ascii").split("\n")
        head = dict(line[2:].split(": ", 1) for line in lines[1:12])
        entries = [_ENTRY.fullmatch(line) for line in lines[12:-1]]
        values: dict[str, int] = {name: int(head[name]) for name in _NUMBERS}
        found = Manifest(
            writer=head["writer"],
            hour=head["hour"],
            previous=head["previous"],
            key=head["key"],
            entries=tuple((entry[1], entry[2]) for entry in entries if entry),
            **values,
        )
    except (ValueError, KeyError, UnicodeDecodeError) as problem:
        raise ArchiveNotSound(f"no manifest: {problem}") from problem
    if found.encode() != data:
        raise ArchiveNotSound("a manifest is not written as this version writes it")
    return found


def digest(data: bytes) -> str:
    """Return a manifest's SHA-256: what the next one names as `previous`, and what an anchor holds."""
    return sha256(data).hexdigest()
