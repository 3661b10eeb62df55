"""From receipts to manifests: when one is due, and what it says. No I/O."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Final

from collector.audit.layout import KEYS, manifest_key
from collector.audit.manifest import NO_MANIFEST, Manifest
from collector.audit.notes import Receipt
from collector.audit.stamps import hour_number, hour_text

FINGERPRINT: Final = 16  # digits of a public key's SHA-256 that name it
_LONGEST_GAP: Final = 24 * 31  # hours without a collector that get a manifest each; a longer gap shows as a jump


def due(noted: Iterable[tuple[int, int]], unfinished: Iterable[tuple[int, int]], *, at_once: bool = False) -> list[int]:
    """Return the segments of the next manifest, in order; none where none is due.

    Both are (number, hour) of segments: `noted` have a receipt and no manifest yet, `unfinished` have no receipt,
    the open one too. A manifest covers segments of one hour that follow one another; it is due when the next one is of
    another hour (the clock may have been set back); `at_once`: with all there is (the end of a run).
    """
    waiting = min(unfinished, default=None)
    found = sorted(one for one in noted if waiting is None or one < waiting)
    if not found:
        return []
    hour = found[0][1]
    part = [number for number, _ in itertools.takewhile(lambda one: one[1] == hour, found)]
    after = found[len(part)][1] if len(part) < len(found) else waiting[1] if waiting else None
    return part if (at_once if after is None else after != hour) else []


def following(
    part: Sequence[Receipt], writer: str, key: str, last: tuple[Manifest, str] | None
) -> tuple[Manifest, bool]:
    """Return the next manifest, and whether it covers these receipts: hours before them without any come first.

    `key`: SHA-256 of the published public key, or nothing.
    """
    link: tuple[tuple[str, str], ...] = ()
    if last is None:
        before, previous, number, reached, segment = None, NO_MANIFEST, 1, part[0].first - 1, 0
    else:
        made, previous = last
        before, number, reached, segment = hour_number(made.hour), made.number + 1, made.last, made.segment
        link = ((previous, manifest_key(writer, made.number, made.hour)),)
    published = ((key, key_name(key[:FINGERPRINT])),) if key else ()
    empty = before is not None and 0 < part[0].hour - before - 1 <= _LONGEST_GAP
    covered = () if empty else part
    entries = {note.key: note.sha256 for receipt in covered for note in receipt.objects}
    end = covered[-1].last if covered else reached
    events = sum(receipt.events for receipt in covered)
    manifest = Manifest(
        writer=writer,
        number=number,
        hour=hour_text(before + 1 if empty and before is not None else part[0].hour),
        previous=previous,
        first=reached + 1,
        last=end,
        events=events,
        lost=sum(receipt.lost for receipt in covered),
        damaged=end - reached - events,  # also what a segment that vanished held
        segment=covered[-1].segment if covered else segment,
        key=key[:FINGERPRINT] or "none",
        entries=(*link, *published, *((digest, name) for name, digest in sorted(entries.items()))),
    )
    return manifest, not empty


def key_name(fingerprint: str) -> str:
    """Return where a public key is published."""
    return f"{KEYS}{fingerprint}.pem"
