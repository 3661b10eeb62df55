"""The archive's settings, from the configuration."""

from collector.audit.settings import ArchiveSettings, StoreSettings
from collector.config import Config


def store_settings(config: Config) -> StoreSettings:
    """Return where objects go."""
    return StoreSettings(
        directory=config.audit_directory,
        endpoint=config.audit_s3_endpoint,
        bucket=config.audit_s3_bucket,
        region=config.audit_s3_region,
        credentials=config.audit_s3_credentials,
        authorities=config.audit_s3_authorities,
        retain_days=config.audit_retain_days,
    )


def archive_settings(config: Config, account: tuple[int, int]) -> ArchiveSettings:
    """Return the whole archive's settings; `account` is (uid, gid) to become."""
    return ArchiveSettings(
        spool=config.audit_spool,
        store=store_settings(config),
        compression="gzip" if config.audit_compression == "gzip" else "zstd",
        spool_bytes=config.audit_spool_bytes,
        segment_bytes=config.audit_segment_bytes,
        segment_seconds=config.audit_segment_seconds,
        queue_events=config.audit_queue_events,
        signing_key=config.audit_signing_key,
        anchor_file=config.audit_anchor_file,
        account=account,
    )
