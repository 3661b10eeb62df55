"""Kernel tests load real BPF programs: they need root, and run one watch each."""

import os

import pytest

from tests.support.watching import Watch


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/kernel" in str(item.path):
            item.add_marker(pytest.mark.kernel)


@pytest.fixture(scope="session", autouse=True)
def _root():
    if os.geteuid():
        pytest.skip("needs root to load BPF programs: sudo make test")


@pytest.fixture
def watch():
    """Start a watch on this very process (or as the options say); ended at the latest with the test."""
    running = []

    def start(*options, **settings):
        if (
            not any(str(o).startswith(("--pid", "--port", "--comm", "--cgroup")) for o in options)
            and "--" not in options
        ):
            options = ("--pid", os.getpid(), *options)
        running.append(Watch(*options, **settings))
        return running[-1]

    yield start
    for one in running:
        one.__exit__(None)
