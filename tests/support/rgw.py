"""A real Ceph RADOS Gateway of the tests' own, started by the lab's script."""

import contextlib
import os
import random
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

from collector.audit.settings import StoreSettings

SCRIPT = Path(__file__).parents[2] / "vagrant/provision/rgw.sh"
ACCESS, SECRET = "testaccess", "testsecret"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}


def free_ports(count: int) -> int:
    """Return the first of a run of ports that are free now."""
    for _ in range(1000):
        first = random.randrange(20_000, 32_000)  # below what the kernel gives away itself
        with contextlib.ExitStack() as probes:
            try:
                for port in range(first, first + count):
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")


@dataclass
class Gateway:
    """One running instance."""

    folder: Path
    port: int
    environment: dict[str, str]
    authorities: str = ""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def secure_endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port + 1}"

    def call(self, *words: str) -> str:
        said = subprocess.run(
            ["bash", str(SCRIPT), *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert said.returncode == 0, said.stderr + said.stdout
        return said.stdout

    def client(self, endpoint: str = ""):
        return boto3.client(
            "s3",
            endpoint_url=endpoint or self.endpoint,
            region_name="default",
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            verify=self.authorities or None,
            config=Config(
                s3={"addressing_style": "path"}, retries={"total_max_attempts": 5},
                request_checksum_calculation="when_required", response_checksum_validation="when_required",
            ),
        )  # fmt: skip

    def bucket(self, name: str, *, versions: bool = False, locks: bool = False) -> str:
        client = self.client()
        client.create_bucket(Bucket=name, **({"ObjectLockEnabledForBucket": True} if locks else {}))
        if versions:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def settings(self, bucket: str, **more) -> StoreSettings:
        return StoreSettings(**{"endpoint": self.endpoint, "bucket": bucket, **more})


def start(folder: Path, *, store: str = "memstore", tls: bool = False) -> Gateway:
    port = free_ports(3)  # the gateway, HTTPS, the monitor
    words = {"RGW_DIR": str(folder / "rgw"), "RGW_PORT": str(port), "MON_PORT": str(port + 2), "RGW_STORE": store}
    gateway = Gateway(folder, port, {**os.environ, **words})
    if tls:
        pem = certificate(folder)
        gateway.environment["RGW_TLS"] = str(pem)
        gateway.authorities = str(pem)
    gateway.call("start")
    return gateway


def certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that is its own authority."""
    pem = folder / "tls.pem"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem",
         "-out", folder / "certificate.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    pem.write_bytes((folder / "key.pem").read_bytes() + (folder / "certificate.pem").read_bytes())
    return pem
