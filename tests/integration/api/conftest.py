import pytest

from tests.support.serving import Service


def pytest_collection_modifyitems(items):
    for item in items:
        if "integration/api" in str(item.path):
            item.add_marker(pytest.mark.kernel)


@pytest.fixture(scope="module")
def service():
    """One service for a module's tests, on the real kernel; all that it is asked counts for one address."""
    with Service(env={"NETSCOPE_REQUESTS_PER_MINUTE": "1000000"}) as running:
        yield running
        running.until("/v1/losses", balanced)
        verdict = next(one for one in running.json("/v1/invariants")["invariants"] if one["id"] == "I3")
        assert verdict["status"] != "violated", verdict["detail"]


def balanced(losses):
    """Every stage has passed on what it got, or counted it as lost."""
    return all(one["difference"] == 0 for one in losses["balance"])
