"""How Kafka is reached; TLS and SASL settings pass through to aiokafka."""

import ssl
from typing import Any

import msgspec
from aiokafka.helpers import create_ssl_context


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the configuration that Kafka's clients need."""

    bootstrap_servers: str
    topic: str = "ingress"
    group: str = "pipeline"
    fetch_bytes: int = 256 * 1024
    session_timeout_ms: int = 10_000
    max_record_bytes: int = 16 * 1024 * 1024
    security_protocol: str = "PLAINTEXT"
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = None

    def connection(self) -> dict[str, Any]:
        """Return the words that every aiokafka client takes."""
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": "netscope-pipeline",
            "security_protocol": self.security_protocol,
            "ssl_context": self._tls(),
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password,
            "request_timeout_ms": 10_000,
        }

    def _tls(self) -> ssl.SSLContext | None:
        if "SSL" not in self.security_protocol.split("_"):
            return None
        context: ssl.SSLContext = create_ssl_context(
            cafile=self.ca_file, certfile=self.cert_file, keyfile=self.key_file
        )
        return context
