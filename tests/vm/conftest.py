"""Emulated kernels are started when the tests begin and asked for their outcome by the tests here, which come last."""

import os
import tempfile
from pathlib import Path

import pytest

from tests.vm import background

_RUNNING = pytest.StashKey[background.Background]()
_FOLDER = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_collection_finish(session):
    wanted = any("played" in item.fixturenames for item in session.items)
    if not wanted or os.environ.get("CI") != "true" or os.geteuid() or os.uname().machine != "x86_64":
        return
    if session.config.option.collectonly:
        return
    folder = tempfile.TemporaryDirectory(prefix="netscope-kernels-")
    session.config.stash[_FOLDER] = folder
    session.config.stash[_RUNNING] = background.start(Path(folder.name))


def pytest_unconfigure(config):
    if running := config.stash.get(_RUNNING, None):
        running.end()
        config.stash[_FOLDER].cleanup()


@pytest.fixture(scope="session")
def played(request):
    """Ask for the outcome of a kernel; None where nothing was started: elsewhere than on CI."""
    running = request.config.stash.get(_RUNNING, None)
    return running.outcome if running else lambda kernel: None
