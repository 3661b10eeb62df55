"""Which store the settings mean."""

from collections.abc import Mapping
from pathlib import Path

from collector.audit import credentials
from collector.audit.settings import StoreSettings
from collector.audit.stores.directory import DirectoryStore
from collector.audit.stores.store import Store


def open_store(settings: StoreSettings, environment: Mapping[str, str]) -> Store:
    """Return the bucket where an endpoint is set, else the directory. Raises AuditProblem without credentials."""
    if not settings.endpoint:
        return DirectoryStore(Path(settings.directory))
    keys = credentials.read(settings.credentials, environment)
    from collector.audit.stores.s3 import S3Store  # late: botocore takes memory and time, a directory needs none

    return S3Store(settings, keys)
