"""A real Apache Kafka for the whole session, and the pipeline's processes on it."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.pipeline.rig import KafkaCluster, Rig

_ON_CI = bool(os.environ.get("CI"))


def _missing() -> list[str]:
    return [name for name, program in (("Java 17", "java"), ("Maven", "mvn")) if shutil.which(program) is None]


def free_ports(count: int) -> int:
    """Return the first of a run of ports that are free now."""
    for base in range(21000 + os.getpid() % 5000, 60000, 50):
        try:
            for port in range(base, base + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise RuntimeError("no free ports")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One node."""
    yield from _cluster(tmp_path_factory.mktemp("kafka"), nodes=1)


@pytest.fixture
def kafka_of_three(tmp_path: Path) -> Iterator[KafkaCluster]:
    """Three nodes, every record on all of them."""
    yield from _cluster(tmp_path, nodes=3)


def _cluster(folder: Path, *, nodes: int) -> Iterator[KafkaCluster]:
    if missing := _missing():
        need = f"needs {' and '.join(missing)} for Apache Kafka"
        pytest.fail(need) if _ON_CI else pytest.skip(need)
    cluster = KafkaCluster(folder, port=free_ports(2 * nodes))
    try:
        cluster.start(nodes)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Processes of the pipeline; whatever still runs at the end of the test is stopped."""
    one = Rig(tmp_path)
    try:
        yield one
    finally:
        one.stop_all()


def pytest_report_header() -> str:
    version = (
        subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
        if not _missing()
        else "absent"
    )
    return f"java: {version.splitlines()[0] if version else 'absent'}"
