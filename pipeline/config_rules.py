"""What must hold between settings, so that a worker which starts can also work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx2

from pipeline.config import WorkerConfig
from pipeline.ingest.watermark import MAX_SPAN
from pipeline.logs import LEVELS

_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def broken_rules(config: WorkerConfig) -> list[str]:
    """Return a sentence for each rule that does not hold."""
    return [*_kafka(config), *_api(config), *_thresholds(config), *_files(config)]


def _kafka(config: WorkerConfig) -> Iterator[str]:
    for server in config.kafka_bootstrap_servers.split(","):
        host, colon, port = server.strip().rpartition(":")
        if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
            yield f"kafka_bootstrap_servers: {server!r} is not host:port"
    if config.kafka_security_protocol not in _PROTOCOLS:
        yield f"kafka_security_protocol: {config.kafka_security_protocol!r} is none of {', '.join(_PROTOCOLS)}"
    if config.kafka_security_protocol.startswith("SASL"):
        if config.kafka_sasl_mechanism not in _MECHANISMS:
            yield f"kafka_sasl_mechanism: {config.kafka_sasl_mechanism!r} is none of {', '.join(_MECHANISMS)}"
        if not config.kafka_sasl_username:
            yield f"kafka_sasl_username: missing, and {config.kafka_security_protocol} needs it"
        if not config.kafka_sasl_password:
            yield f"kafka_sasl_password: missing, and {config.kafka_security_protocol} needs it"
    if (config.kafka_cert_file is None) != (config.kafka_key_file is None):
        yield "kafka_cert_file and kafka_key_file: one without the other"
    letters = config.letters()
    if len({config.kafka_topic, letters.dead, letters.parked}) < 3:
        yield "kafka_topic, kafka_dead_letter_topic, kafka_parked_topic: they must differ"


def _api(config: WorkerConfig) -> Iterator[str]:
    try:
        url = httpx2.URL(config.api_url)
    except httpx2.InvalidURL as problem:
        yield f"api_url: {problem}"
        return
    if url.scheme not in {"http", "https"} or not url.host:
        yield f"api_url: {config.api_url!r} is not http://host or https://host"
    if url.query or url.fragment or url.userinfo:
        yield "api_url: only scheme, host, port and path have a place in it"


def _thresholds(config: WorkerConfig) -> Iterator[str]:
    if config.call_attempt_timeout_s > config.call_deadline_s:
        yield "call_attempt_timeout_s: longer than call_deadline_s, which ends every call before"
    if config.retry_base_s > config.retry_cap_s:
        yield "retry_base_s: above retry_cap_s"
    if config.retry_after_cap_s >= config.call_deadline_s:
        yield "retry_after_cap_s: not below call_deadline_s, so such a wait could never end in a retry"
    if config.rounds_pause_s > config.rounds_pause_cap_s:
        yield "rounds_pause_s: above rounds_pause_cap_s"
    if config.breaker_open_s > config.breaker_open_max_s:
        yield "breaker_open_s: above breaker_open_max_s"
    if config.breaker_slow_call_s > config.call_attempt_timeout_s:
        yield "breaker_slow_call_s: above call_attempt_timeout_s, so no call could ever be slow"
    if config.intake_resume_records >= config.intake_max_records:
        yield "intake_resume_records: not below intake_max_records"
    if config.intake_max_records > MAX_SPAN // 2:
        yield f"intake_max_records: above {MAX_SPAN // 2}, which a commit cannot note"
    if config.call_max_in_flight > config.intake_max_records:
        yield "call_max_in_flight: above intake_max_records, so the places could never fill"
    if config.kafka_session_timeout_ms / 1000 <= config.intake_drain_s:
        yield "intake_drain_s: not below kafka_session_timeout_ms, so a drain would cost the membership"
    if config.worker_stall_s <= config.call_deadline_s:
        yield "worker_stall_s: not above call_deadline_s, so a slow call would look like a stall"
    if config.worker_log_level not in LEVELS:
        yield f"worker_log_level: {config.worker_log_level!r} is none of {', '.join(LEVELS)}"


def _files(config: WorkerConfig) -> Iterator[str]:
    for name in ("kafka_ca_file", "kafka_cert_file", "kafka_key_file", "api_ca_file"):
        path = getattr(config, name)
        if path is not None:
            try:
                Path(path).read_bytes()
            except OSError as problem:
                yield f"{name}: {problem}"
