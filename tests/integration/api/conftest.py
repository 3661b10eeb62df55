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
