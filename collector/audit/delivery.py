"""One object into a store, exactly once: an outcome that nobody knows is compared, never repeated blindly."""

from hashlib import md5, sha256

from collector.audit.errors import ObjectExists, StoreProblem
from collector.audit.packing import PackedObject
from collector.audit.stores.store import CONTENT_SHA256, EVENTS, SHA256, Store


def deliver(store: Store, item: PackedObject, *, unsure: bool) -> str:
    """Have the object in the store; return the SHA-256 of what lies there. Raises StoreProblem.

    `unsure`: an earlier attempt may have arrived. Where the store does not itself refuse to overwrite, ask first.
    """
    if (unsure or not store.refuses_overwriting) and (found := _same(store, item)):
        return found
    about = {SHA256: item.sha256, CONTENT_SHA256: item.content_sha256, EVENTS: str(item.events)}
    try:
        store.put(item.key, item.body, md5=item.md5, about=about)
    except ObjectExists:
        found = _same(store, item)
        if found is None:  # deleted in between
            raise StoreProblem(f"{item.key}: there and not there", refusal="ambiguous") from None
        return found
    return item.sha256


def _same(store: Store, item: PackedObject) -> str | None:
    """Return the stored object's SHA-256 where it holds what ours holds, None where there is none.

    Equal lines may lie there compressed by another version of the library: that is the same object.
    """
    held = store.head(item.key)
    if held is None:
        return None
    if held.size == len(item.body) and held.md5 == item.md5.hex():
        return item.sha256
    stored = held.about.get(SHA256, "")
    if stored and held.about.get(CONTENT_SHA256) == item.content_sha256:
        digest = sha256()
        for chunk in store.get(item.key):
            digest.update(chunk)
        if digest.hexdigest() == stored:
            return stored
    raise StoreProblem(
        f"{item.key}: the store holds something else under this name",
        refusal="permanent",
        fix="somebody else writes below audit/v1/: find out who, and move that object away",
    )


def plain(key: str, body: bytes) -> PackedObject:
    """Return a small file (manifest, signature, public key) as an object."""
    digest = sha256(body).hexdigest()
    return PackedObject(key, body, digest, md5(body, usedforsecurity=False).digest(), digest, 0)
