"""A broker that wants TLS and a password: the settings reach it, and a wrong one is named without being told."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.commands.external_api import make_certificate
from tests.integration.pipeline.conftest import free_ports
from tests.integration.pipeline.rig import ROOT, KafkaCluster, Rig, eventually, resilience
from tests.integration.pipeline.test_delivery import assert_exact

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

PASSWORD = "correct-horse"


@pytest.fixture
def secure(tmp_path: Path, kafka: KafkaCluster) -> Iterator[tuple[KafkaCluster, str]]:
    """A node of its own, which other tests need not mind, and the certificate to trust; `kafka`: what it needs is there."""
    del kafka
    certificate, key = make_certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_text(Path(key).read_text() + Path(certificate).read_text())
    cluster = KafkaCluster(
        tmp_path / "secure", port=free_ports(12), KAFKA_PEM=str(both), KAFKA_USERS=f"pipeline={PASSWORD}"
    )
    try:
        cluster.start(1)
        yield cluster, certificate
    finally:
        cluster.stop()


def flags(cluster: KafkaCluster, certificate: str) -> tuple[str, ...]:
    return (
        "--kafka-bootstrap-servers", cluster.secure_bootstrap, "--kafka-security-protocol", "SASL_SSL",
        "--kafka-ca-file", certificate, "--kafka-sasl-username", "pipeline",
    )  # fmt: skip


def test_records_come_through_tls_and_sasl(
    secure: tuple[KafkaCluster, str], rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, certificate = secure
    monkeypatch.setenv("PIPELINE_KAFKA_SASL_PASSWORD", PASSWORD)
    api = rig.api()
    rig.load(cluster, "secure", "--count", "300", "--unpaced", "--poison", "0.05")
    worker = rig.worker(cluster, api, "secure", *flags(cluster, certificate), ready_within_s=90)
    eventually(
        lambda: sum(resilience(worker)["records"][of] for of in ("succeeded", "dead_lettered")) == 300, within_s=60
    )
    assert worker.stop() == 0
    assert_exact(cluster, "secure", api)
    assert PASSWORD not in worker.words()


def test_a_wrong_password_ends_the_start_and_is_not_repeated(secure: tuple[KafkaCluster, str], rig: Rig) -> None:
    cluster, certificate = secure
    api = rig.api()
    words = [sys.executable, "-m", "pipeline.cli", "worker", "--api-url", api.url, "--kafka-topic", "secure"]
    done = subprocess.run(
        [*words, *flags(cluster, certificate)],
        env={**os.environ, "PIPELINE_KAFKA_SASL_PASSWORD": "wrong-horse"},
        capture_output=True, text=True, timeout=90, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "kafka" in done.stderr
    assert "wrong-horse" not in done.stderr + done.stdout
