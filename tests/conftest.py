"""What holds for every test: on CI nothing needed is skipped; kernel tests run as root on a prepared kernel."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support import kernel_mounts, skips

pytest_plugins = ["pytester"]

os.environ.setdefault("NETSCOPE_AUDIT", "off")  # tests of the archive switch it on, in folders of their own
_ON_CI = os.environ.get("CI") == "true"
_KERNEL_TESTS = Path(__file__).parent / "kernel"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _KERNEL_TESTS in item.path.parents:
            item.add_marker(pytest.mark.kernel)
        if item.get_closest_marker("kernel"):
            item.add_marker(pytest.mark.skipif(os.geteuid() != 0, reason="loading programs into the kernel needs root"))


def pytest_collection_finish(session: pytest.Session) -> None:
    if os.geteuid() == 0 and any(item.get_closest_marker("kernel") for item in session.items):
        kernel_mounts.mount_missing()


def _hold(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if failure := skips.verdict(reason, on_ci=_ON_CI):
        report.outcome = "failed"
        report.longrepr = failure


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _hold(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _hold(report)
    return report
