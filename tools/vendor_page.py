"""Fetch the libraries of the page from npm, check them, and put them into api/static/vendor with licence and hashes.

python tools/vendor_page.py            fetch, check the archive's SHA-512, write
python tools/vendor_page.py --check    only compare what is there with vendor.json
"""

import argparse
import base64
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[1] / "api/static/vendor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One npm package: which of its files, as what, and what is replaced in them."""

    name: str
    version: str
    licence: str
    integrity: str  # of the archive, as the registry has it
    files: dict[str, str]  # in the archive -> here
    replaced: tuple[tuple[str, str], ...] = ()


_BARE: Final = (('from"preact"', 'from"./preact.mjs"'),)  # no build step, so no bare names: browsers cannot find them
LIBRARIES: Final = (
    Library(
        name="preact",
        version="11.2.0",
        licence="MIT",
        integrity="sha512-/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==",
        files={"dist/preact.mjs": "preact.mjs", "hooks/dist/hooks.mjs": "hooks.mjs", "LICENSE": "preact.LICENSE"},
        replaced=_BARE,
    ),
    Library(
        name="htm",
        version="3.1.1",
        licence="Apache-2.0",
        integrity="sha512-983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==",
        files={"dist/htm.mjs": "htm.mjs", "LICENSE": "htm.LICENSE"},
    ),
    Library(
        name="uplot",
        version="1.6.32",
        licence="MIT",
        integrity="sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        files={
            "dist/uPlot.iife.min.js": "uPlot.iife.min.js",
            "dist/uPlot.min.css": "uPlot.min.css",
            "LICENSE": "uPlot.LICENSE",
        },
    ),
)


def fetched(library: Library) -> bytes:
    """Return the archive as npm gives it, checked."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["npm", "pack", "--silent", f"{library.name}@{library.version}"]
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
        data = next(Path(folder).glob("*.tgz")).read_bytes()
    found = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != library.integrity:
        sys.exit(f"{library.name} {library.version}: the archive is {found}, not {library.integrity}")
    return data


def written(library: Library, archive: bytes) -> dict[str, object]:
    """Write the files; return the entry of vendor.json."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for inside, here in library.files.items():
            member = tar.extractfile(f"package/{inside}")
            assert member is not None
            data = member.read()
            upstream = hashlib.sha256(data).hexdigest()
            text = data.decode()
            for old, new in library.replaced:
                text = text.replace(old, new)
            (FOLDER / here).write_text(text)
            files[here] = {"from": inside, "upstream_sha256": upstream, "sha256": digest(here)}
    return {
        "name": library.name,
        "version": library.version,
        "licence": library.licence,
        "archive_integrity": library.integrity,
        "replaced": [f"{old} -> {new}" for old, new in library.replaced],
        "files": files,
    }


def digest(here: str) -> str:
    """Return the SHA-256 of a vendored file."""
    return hashlib.sha256((FOLDER / here).read_bytes()).hexdigest()


def main() -> None:
    """Fetch and write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare what is there with vendor.json")
    record = FOLDER / "vendor.json"
    if parser.parse_args().check:
        wanted = {
            here: one["sha256"] for entry in json.loads(record.read_text()) for here, one in entry["files"].items()
        }
        wrong = [here for here, sha256 in wanted.items() if digest(here) != sha256]
        sys.exit(f"changed since they were fetched: {', '.join(wrong)}" if wrong else 0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    entries = [written(library, fetched(library)) for library in LIBRARIES]
    record.write_text(json.dumps(entries, indent=2) + "\n")


if __name__ == "__main__":
    main()
