"""One real gateway for all tests here; each test has buckets of its own."""

import itertools
import tempfile
from pathlib import Path

import pytest

from collector.audit.settings import ArchiveSettings
from tests.support import rgw

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    found = rgw.start(tmp_path_factory.mktemp("ceph"), tls=True)
    yield found
    found.call("wipe")


@pytest.fixture
def own_gateway(tmp_path):
    """A gateway that this test may harm."""
    found = rgw.start(tmp_path / "ceph")
    yield found
    found.call("wipe")


@pytest.fixture
def open_folder():
    """A folder that the collector's user can reach: pytest closes its own again whenever another pytest begins."""
    with tempfile.TemporaryDirectory(prefix="netscope-audit-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def bucket_name():
    return f"bucket-{next(_NUMBERS)}"


@pytest.fixture
def settings(tmp_path):
    """Return a maker of archive settings with small segments and short waits."""

    def make(store, **more):
        words = {
            "spool": str(tmp_path / "spool"), "store": store, "segment_bytes": 20_000, "segment_seconds": 0.5,
            "retry_seconds": 0.5,
        }  # fmt: skip
        return ArchiveSettings(**{**words, **more})

    return make
