"""The shipper alone, in one process, until everything is in the store: `python -m tests.support.audit_ship SETTINGS`."""

import json
import os
import sys
import time
from pathlib import Path

import msgspec

from collector.audit.settings import ArchiveSettings
from collector.audit.shipper import Shipper
from collector.audit.spool_files import SpoolFiles
from collector.audit.stores.opening import open_store


def main():
    settings = msgspec.convert(json.loads(sys.argv[1]), ArchiveSettings)
    key = Path(settings.signing_key).read_bytes() if settings.signing_key else b""
    shipper = Shipper(
        SpoolFiles(Path(settings.spool)), open_store(settings.store, dict(os.environ)), settings, key=key,
        tell=lambda *words, **more: None, settle_s=0.0,
    )  # fmt: skip
    ends = time.monotonic() + 30
    while not shipper.idle and time.monotonic() < ends:
        shipper.step(closing=True)
    os._exit(0 if shipper.idle else 1)


if __name__ == "__main__":
    main()
