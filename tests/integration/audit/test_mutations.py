"""Whatever is changed in an archive is noticed: by `collector audit verify`, and by the shell procedure in the docs."""

import io
import os
import random
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from collector.audit.verifying import Verifier
from tests.support.audit_archive import MemoryStore, fill, key_pair, save
from tests.support.audit_oracle import zstd

FULL = os.environ.get("NETSCOPE_FULL") == "1"
PAGE = Path(__file__).parents[3] / "docs/how-to/verify-by-hand.md"
HOURS = (6, 0, 9, None, 4, 0, 7)
SET_BACK = (6, 0, 9, 4, 7)


def made(folder, hours, set_back, at):
    """Return (objects, public key, anchors): two writers, the clock of one of them was set back."""
    private, public = key_pair(folder)
    store = MemoryStore()
    key = private.read_bytes()
    anchors = [
        fill(folder / "a", store, hours=hours, key=key).shipped.anchor,
        fill(folder / "b", store, hours=set_back, at=at, key=key).shipped.anchor,
    ]
    return store.objects, public, anchors


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return made(tmp_path_factory.mktemp("archive"), HOURS, SET_BACK, (0, 1, 2, -3, -2))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The same with fewer hours: a shell needs its time for each manifest."""
    return made(tmp_path_factory.mktemp("small"), (4, 0, 3), (2, 3), (1, -2))


def manifests(objects):
    return sorted(key for key in objects if key.endswith(".sha256"))


def events(objects):
    return sorted(key for key in objects if "/service=" in key)


def edit(objects, chance):
    """Change, cut, or lengthen any file."""
    key = chance.choice(sorted(objects))
    body = bytearray(objects[key])
    match chance.randrange(3):
        case 0:
            body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        case 1:
            del body[chance.randrange(len(body)) :]
        case _:
            body.insert(chance.randrange(len(body) + 1), chance.randrange(256))
    objects[key] = bytes(body)


def edit_and_hide(objects, chance):
    """Change an event, and put its new hash into the manifest."""
    from hashlib import sha256

    key = chance.choice(events(objects))
    lines = unpacked(objects[key]).replace(b'"status_code":200', b'"status_code":204')
    before, objects[key] = sha256(objects[key]).hexdigest(), zstd.compress(lines)
    after = sha256(objects[key]).hexdigest()
    for name in manifests(objects):
        objects[name] = objects[name].replace(before.encode(), after.encode())


def unpacked(body):
    with zstd.ZstdFile(io.BytesIO(body)) as file:
        return file.read()


def delete(objects, chance):
    del objects[chance.choice(sorted(objects))]


def insert(objects, chance):
    """Add an object, a manifest or something else."""
    match chance.randrange(4):
        case 0:
            key = chance.choice(events(objects))
            number = chance.randrange(1, 200)
            added = re.sub(r"-\d{16}-", f"-{number:016d}-", key)
            body = objects[key]
        case 1:
            key = chance.choice(events(objects))
            added = key.replace("hour=0", f"hour={chance.randrange(1, 3)}")
            body = objects[key]
        case 2:
            key = chance.choice(manifests(objects))
            added = re.sub(r"-(\d{8})-", lambda found: f"-{int(found[1]) + chance.randrange(1, 9):08d}-", key)
            body = objects[key]
        case _:
            added, body = f"audit/v1/service=s0/note-{chance.random()}.txt", b"hello\n"
    if added in objects:
        return insert(objects, chance)
    objects[added] = body
    return None


def reorder(objects, chance):
    """Exchange two lines, two objects, or two manifests with their signatures."""
    match chance.randrange(3):
        case 0:
            key = chance.choice([one for one in events(objects) if unpacked(objects[one]).count(b"\n") > 1])
            lines = unpacked(objects[key]).splitlines(keepends=True)
            one, other = chance.sample(range(len(lines)), 2)
            lines[one], lines[other] = lines[other], lines[one]
            objects[key] = zstd.compress(b"".join(lines))
        case 1:
            one, other = chance.sample(events(objects), 2)
            objects[one], objects[other] = objects[other], objects[one]
        case _:
            one, other = chance.sample(manifests(objects), 2)
            for end in ("", ".sig"):
                objects[one + end], objects[other + end] = objects[other + end], objects[one + end]


def writer_of(key):
    return re.search(r"([0-9a-f]{16})-\d{8}-", key)[1]


def cut_tail(objects, chance, *, with_objects=None):
    """Take away a writer's newest manifests, with or without what they name."""
    writer = writer_of(chance.choice(manifests(objects)))
    own = [key for key in manifests(objects) if writer_of(key) == writer]
    with_objects = chance.random() < 0.5 if with_objects is None else with_objects
    for key in own[chance.randrange(len(own)) :]:
        if with_objects:
            for line in objects[key].decode().splitlines():
                if "/service=" in line:
                    objects.pop(line[66:], None)
        del objects[key], objects[key + ".sig"]


def roll_back(objects, chance):
    cut_tail(objects, chance, with_objects=True)


KINDS = (edit, edit_and_hide, delete, insert, reorder, cut_tail, roll_back)


def noticed(objects, public, anchors):
    report = Verifier(MemoryStore(objects), keys=[public.read_bytes()], anchors=anchors).run()
    return bool(report.findings or report.pending), report


def test_the_archive_itself_is_sound(archive):
    objects, public, anchors = archive
    found, report = noticed(objects, public, anchors)
    assert not found, report.findings
    assert report.events == 2 * 26
    assert report.manifests == report.signed == len(HOURS) + len(SET_BACK)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_mutation_is_noticed(archive, kind, capsys):
    objects, public, anchors = archive
    chance = random.Random(kind.__name__)
    count = 10_000 // len(KINDS) + 1 if FULL else 150
    missed = []
    for number in range(count):
        changed = dict(objects)
        while changed == objects:
            kind(changed, chance)
        if not noticed(changed, public, anchors)[0]:
            missed.append(number)
    with capsys.disabled():
        print(f"\n{kind.__name__}: {count} mutations, {len(missed)} missed")
    assert not missed


def script(folder):
    path = folder / "verify.sh"
    path.write_text(re.search(r"```sh verify\.sh\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])
    return path


def by_hand(objects, public, anchors, folder):
    """Run the documented procedure on these objects; return what it says."""
    shutil.rmtree(folder / "archive", ignore_errors=True)
    save(MemoryStore(objects), folder / "archive")
    (folder / "anchors").write_text("".join(f"{one}\n" for one in anchors))
    said = subprocess.run(
        ["sh", script(folder), folder / "archive", public, folder / "anchors"],
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip().rpartition("\n")[2] + said.stderr


@pytest.mark.timeout(7200)
def test_the_shell_procedure_notices_the_same(archive, small, tmp_path, capsys):
    objects, public, anchors = archive
    assert by_hand(objects, public, anchors, tmp_path) == "sound"
    objects, public, anchors = small
    assert by_hand(objects, public, anchors, tmp_path) == "sound"
    count = int(os.environ.get("BY_HAND", "10000" if FULL else "21")) // len(KINDS) + FULL

    def missed(kind):
        chance = random.Random(kind.__name__)
        folder = tmp_path / kind.__name__
        folder.mkdir()
        found = 0
        for _ in range(count):
            changed = dict(objects)
            while changed == objects:
                kind(changed, chance)
            found += by_hand(changed, public, anchors, folder) == "sound"
        return found

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = dict(zip((kind.__name__ for kind in KINDS), threads.map(missed, KINDS), strict=True))
    with capsys.disabled():
        print(f"\nby hand: {count} mutations of each kind, missed: {found}")
    assert not any(found.values())
