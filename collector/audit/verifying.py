"""Whether an archive is what its writers wrote: chain, signatures, objects, sequence, anchors. Offline, read only."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import msgspec

from collector.audit import manifest, signing
from collector.audit.chain import key_name
from collector.audit.compression import decompressed
from collector.audit.errors import ArchiveNotSound, AuditProblem, ObjectMissing
from collector.audit.layout import KEYS, ROOT, manifest_key, parse_events, parse_manifest
from collector.audit.manifest import NO_MANIFEST, Manifest
from collector.audit.stores.store import Store

_ORDER: Final = "the sequence"


class _Line(msgspec.Struct):
    """What is checked of a line."""

    writer: str
    audit_seq: int
    kind: str
    service: str | None = None
    stage: str = ""
    reason: str = ""
    count: int = 0


_decode = msgspec.json.Decoder(_Line).decode


@dataclass(slots=True)
class Report:
    """What was checked, and every finding: sound where there is none."""

    writers: int = 0
    manifests: int = 0
    signed: int = 0
    objects: int = 0
    events: int = 0
    lost: int = 0  # what the archive itself says was lost before it
    damaged: int = 0
    pending: list[str] = field(default_factory=list)  # objects that no manifest covers yet
    findings: list[str] = field(default_factory=list)
    newest: dict[str, str] = field(default_factory=dict)  # by writer: hash of its last manifest, to be held elsewhere
    trusted_keys: str = (
        "given"  # or `from the archive itself`: then signatures prove only that nothing was changed since
    )


class Verifier:
    """Verifies one archive. `keys`: public keys (PEM) to trust; `anchors`: hashes of manifests held elsewhere."""

    def __init__(
        self,
        store: Store,
        *,
        keys: Sequence[bytes] = (),
        anchors: Sequence[str] = (),
        read_lines: bool = True,
        progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
    ) -> None:
        self._store = store
        self._keys = {signing.fingerprint(key): key for key in keys}
        self._given = bool(keys)
        self._anchors = set(anchors)
        self._read_lines = read_lines
        self._progress = progress
        self.report = Report()

    def run(self) -> Report:
        """Check everything. Raises StoreProblem where the store cannot be read."""
        report = self.report
        present = {item.key: item.size for item in self._store.listed(ROOT)}
        self._read_keys(present)
        by_writer: dict[str, dict[int, str]] = {}
        for key in present:
            if found := parse_manifest(key):
                by_writer.setdefault(found[0], {})[found[1]] = key
        report.writers = len(by_writer)
        known = set(self._known_files(present))
        reached: dict[str, int] = {}
        covered: list[tuple[str, str, Manifest]] = []
        for writer, keys in sorted(by_writer.items()):
            for made in self._chain(writer, keys, present, known):
                reached[writer] = made.last
                covered += [(digest, name, made) for digest, name in made.entries if parse_events(name)]
        for held in sorted(self._anchors):
            self._find(f"anchor {held[:16]}: no such manifest: history was cut or rolled back")
        self._objects(covered, present)
        self._unlisted(present, known | {name for _, name, _ in covered}, reached)
        return report

    def _find(self, text: str) -> None:
        self.report.findings.append(text)

    def _get(self, key: str) -> bytes:
        return b"".join(self._store.get(key))

    def _read_keys(self, present: dict[str, int]) -> None:
        """Without keys from outside take those that the archive publishes."""
        if self._given:
            return
        self.report.trusted_keys = "from the archive itself"
        for key in sorted(present):
            if key.startswith(KEYS):
                public = self._get(key)
                self._keys[signing.fingerprint(public)] = public

    def _known_files(self, present: dict[str, int]) -> Iterator[str]:
        for name in present:
            if name.startswith(KEYS) and name.endswith(".pem"):
                print_ = name.removeprefix(KEYS).removesuffix(".pem")
                if signing.fingerprint(self._get(name)) == print_:
                    yield name
                else:
                    self._find(f"{name}: not the key that its name says")

    def _chain(self, writer: str, keys: dict[int, str], present: dict[str, int], known: set[str]) -> Iterator[Manifest]:
        """Follow one writer's manifests; give those that fit."""
        before: tuple[Manifest, str] | None = None
        if min(keys) != 1:
            self._find(f"writer {writer}: its first {min(keys) - 1} manifests are missing")
        for number in range(min(keys), max(keys) + 1):
            if number not in keys:
                self._find(f"writer {writer}: manifest {number} is missing")
                before = None
                continue
            key = keys[number]
            known |= {key, key + ".sig"}
            data = self._get(key)
            try:
                made = manifest.decode(data)
                self._signature(key, made, data, present)
                self._fits(key, made, number, before)
            except ArchiveNotSound as problem:
                self._find(f"{key}: {problem}")
                before = None
                continue
            self.report.manifests += 1
            self.report.lost += made.lost
            self.report.damaged += made.damaged
            before = (made, manifest.digest(data))
            self._anchors.discard(before[1])
            self.report.newest[writer] = before[1]
            yield made

    def _signature(self, key: str, made: Manifest, data: bytes, present: dict[str, int]) -> None:
        if made.key == "none":
            if self._given:
                raise ArchiveNotSound("it is not signed")
            return
        if key + ".sig" not in present:
            raise ArchiveNotSound("its signature is missing")
        published = key_name(made.key)
        named = [digest for digest, name in made.entries if name == published]
        if published not in present or named != [sha256(self._get(published)).hexdigest()]:
            raise ArchiveNotSound(f"the key that it was signed with, {published}, is missing or changed")
        if made.key not in self._keys:
            raise ArchiveNotSound(f"it is signed with the key {made.key}, which is not known")
        try:
            signing.check(self._keys[made.key], self._get(key + ".sig"), data)
        except AuditProblem as problem:
            raise ArchiveNotSound(str(problem)) from problem
        self.report.signed += 1

    def _fits(self, key: str, made: Manifest, number: int, before: tuple[Manifest, str] | None) -> None:
        """Check a manifest against its name and the one before."""
        if manifest_key(made.writer, made.number, made.hour) != key:
            raise ArchiveNotSound("it is not the manifest that its name says")
        if made.last - made.first + 1 != made.events + made.damaged:
            raise ArchiveNotSound("its numbers do not add up")
        if number == 1:
            if made.previous != NO_MANIFEST or made.first != 1:
                raise ArchiveNotSound("it is the first one, yet names one before")
            return
        if before is None:
            return
        if made.previous != before[1]:
            raise ArchiveNotSound("it does not follow the manifest before it: one of them was changed or exchanged")
        if made.first != before[0].last + 1:
            raise ArchiveNotSound("its sequence does not follow the manifest before it")

    def _objects(self, covered: list[tuple[str, str, Manifest]], present: dict[str, int]) -> None:
        """Check every object that a manifest names; with `read_lines` every line in it, too."""
        for done, (digest, name, made) in enumerate(covered):
            self._progress(done, len(covered))
            if name not in present:
                self._find(f"{name}: missing")
                continue
            try:
                self._object(digest, name, made)
            except ObjectMissing:
                self._find(f"{name}: missing")
            except ArchiveNotSound as problem:
                self._find(f"{name}: {problem}")
        self._progress(len(covered), len(covered))

    def _object(self, digest: str, name: str, made: Manifest) -> None:
        hashed = sha256()

        def through() -> Iterator[bytes]:
            for chunk in self._store.get(name):
                hashed.update(chunk)
                yield chunk

        self.report.objects += 1
        parsed = parse_events(name)
        assert parsed is not None
        if not self._read_lines:
            for _ in through():
                pass
        else:
            content, rest, problem = sha256(), b"", ""
            try:
                for data in decompressed(through(), parsed.suffix):
                    content.update(data)
                    *lines, rest = (rest + data).split(b"\n")
                    problem = problem or self._lines(lines, made)
            except ArchiveNotSound as found:
                problem = str(found)
            if problem or rest or content.hexdigest()[:12] != parsed.digest:
                raise ArchiveNotSound(problem or "its lines are not those that its name says")
        if hashed.hexdigest() != digest:
            raise ArchiveNotSound("its SHA-256 is not the one in the manifest")

    def _lines(self, lines: list[bytes], made: Manifest) -> str:
        """Return what is wrong with these lines, or nothing."""
        for line in lines:
            try:
                found = _decode(line)
            except msgspec.MsgspecError as problem:
                return f"a line is no event: {problem}"
            if found.writer != made.writer or not made.first <= found.audit_seq <= made.last:
                return f"an event of {found.writer} {found.audit_seq} lies here, outside of {_ORDER}"
            self.report.events += 1
        return ""

    def _unlisted(self, present: dict[str, int], known: set[str], reached: dict[str, int]) -> None:
        """Whatever no manifest names: newer objects are waiting for theirs, everything else does not belong here."""
        for key in sorted(present.keys() - known):
            name = parse_events(key)
            if name and name.first_seq > reached.get(name.writer, 0):
                self.report.pending.append(key)
            elif parse_manifest(key.removesuffix(".sig")):
                self._find(f"{key}: a signature without its manifest")
            else:
                self._find(f"{key}: no manifest names it")
