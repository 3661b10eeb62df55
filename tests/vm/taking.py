"""A pytest plugin: several machines have one list of tests, and each takes the next that nobody has taken.

The folder TEST_TAKEN, shared by all, gets one directory for each test taken: making one succeeds once.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Run what nobody else has taken; the next is taken before one runs, as pytest wants to know what to keep set up."""
    mine = taken(session.items, Path(os.environ["TEST_TAKEN"]))
    item = next(mine, None)
    while item:
        following = next(mine, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        item = following
    return True


def taken(items: list[pytest.Item], folder: Path) -> Iterator[pytest.Item]:
    """Yield the items that were free when it was their turn."""
    for number, item in enumerate(items):
        try:
            (folder / str(number)).mkdir()
        except FileExistsError:
            continue
        yield item
