"""What the archive is asked to do."""

from dataclasses import dataclass
from typing import Literal

Compression = Literal["zstd", "gzip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where objects go: a bucket where there is an endpoint, else a directory."""

    directory: str = "/var/lib/netscope/archive"
    endpoint: str = ""  # URL of the S3 endpoint (a RADOS Gateway)
    bucket: str = "netscope-audit"
    region: str = "default"
    credentials: str = ""  # file in the AWS CLI's format; empty: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    authorities: str = ""  # file of CA certificates (PEM); empty: the system's
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 20.0
    retain_days: int = 0  # Object Lock retention asked for on each object; 0: the bucket's default


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSettings:
    """The whole archive."""

    spool: str = "/var/lib/netscope/spool"
    store: StoreSettings = StoreSettings()
    compression: Compression = "zstd"
    spool_bytes: int = 1 << 32  # bound of all segments together: half an hour at 2,000 events/s
    reserve_bytes: int = 1 << 18  # left free on the spool's volume for the shipper's notes
    segment_bytes: int = 1 << 22
    segment_seconds: float = 60.0
    queue_events: int = 10_000
    signing_key: str = ""  # PEM file with an Ed25519 private key; empty: manifests are not signed
    anchor_file: str = ""  # every manifest's hash is appended there; best on another volume
    account: tuple[int, int] = (
        0,
        0,
    )  # (uid, gid) whom the spool belongs to and the shipper becomes, when started as root
    upload_threads: int = 2
    retry_seconds: float = 5.0  # longest pause before an upload is tried again
