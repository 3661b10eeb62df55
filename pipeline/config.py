"""The worker's configuration: every setting, its default, and what must hold between them."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from pipeline.dead_letter import LetterTopics
from pipeline.disposition import RoundsPolicy
from pipeline.ingest.intake import IntakePolicy
from pipeline.ingest.valve import ValvePolicy
from pipeline.kafka_settings import KafkaSettings
from pipeline.outbound.backoff import FullJitter
from pipeline.outbound.breaker import BreakerPolicy
from pipeline.outbound.budget import BudgetPolicy
from pipeline.outbound.bulkhead import BulkheadPolicy
from pipeline.outbound.gateway import Policies
from pipeline.outbound.http_sender import Destination
from pipeline.outbound.retry import RetryPolicy

Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]
Rate = Annotated[float, Meta(gt=0, le=1)]

SECRET: Final = frozenset({"kafka_sasl_password"})


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting by its flat name: `kafka_topic` is `--kafka-topic`, PIPELINE_KAFKA_TOPIC and `topic` in [kafka]."""

    kafka_bootstrap_servers: Annotated[Text, Meta(description="brokers to begin with, host:port, comma-separated")] = (
        "127.0.0.1:9092"
    )
    kafka_topic: Annotated[Text, Meta(description="topic to read")] = "ingress"
    kafka_group: Annotated[Text, Meta(description="consumer group")] = "pipeline"
    kafka_dead_letter_topic: Annotated[str, Meta(description="for invalid records; empty: TOPIC.dead-letter")] = ""
    kafka_parked_topic: Annotated[str, Meta(description="for refused records; empty: TOPIC.parked")] = ""
    kafka_create_topics: Annotated[bool, Meta(description="make those two where they are missing")] = True
    kafka_session_timeout_ms: Annotated[int, Meta(ge=3000, description="silence after which the group drops us")] = (
        10_000
    )
    kafka_fetch_bytes: Annotated[int, Meta(ge=1024, description="bytes of one partition per fetch")] = 256 * 1024
    kafka_security_protocol: Annotated[Text, Meta(description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")] = (
        "PLAINTEXT"
    )
    kafka_ca_file: Annotated[str | None, Meta(description="certificates to trust")] = None
    kafka_cert_file: Annotated[str | None, Meta(description="our certificate")] = None
    kafka_key_file: Annotated[str | None, Meta(description="its key")] = None
    kafka_sasl_mechanism: Annotated[Text, Meta(description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")] = "PLAIN"
    kafka_sasl_username: Annotated[str | None, Meta(description="who we are")] = None
    kafka_sasl_password: Annotated[str | None, Meta(description="better in the environment than as a flag")] = None

    api_url: Annotated[Text, Meta(description="the external API: scheme, host, port and a path before every route")] = (
        "http://127.0.0.1:8080"
    )
    api_ca_file: Annotated[str | None, Meta(description="certificates to trust")] = None
    api_max_response_bytes: Annotated[Count, Meta(description="longer responses are cut off")] = 1024 * 1024

    call_deadline_s: Annotated[Seconds, Meta(description="a call ends by then, retries and all")] = 5.0
    call_attempt_timeout_s: Annotated[Seconds, Meta(description="one attempt ends by then")] = 1.5
    call_max_in_flight: Annotated[Count, Meta(description="calls at once")] = 64

    retry_max_attempts: Annotated[Count, Meta(description="attempts within one call")] = 3
    retry_base_s: Annotated[Seconds, Meta(description="ceiling of the first pause; doubles each time")] = 0.05
    retry_cap_s: Annotated[Seconds, Meta(description="ceiling of all pauses")] = 1.0
    retry_after_cap_s: Annotated[Seconds, Meta(description="longest Retry-After that is waited for within a call")] = (
        2.0
    )
    retry_budget_ratio: Annotated[Rate, Meta(description="retries as a share of calls")] = 0.2
    retry_budget_minimum: Annotated[Count, Meta(description="retries that may always be had in 10 s")] = 3

    breaker_window_s: Annotated[Seconds, Meta(description="span over which the rates are taken")] = 2.0
    breaker_min_calls: Annotated[Count, Meta(description="calls below which the rates say nothing")] = 20
    breaker_failure_rate: Annotated[Rate, Meta(description="opens at this share of failures")] = 0.5
    breaker_slow_call_s: Annotated[Seconds, Meta(description="an attempt is slow from here on")] = 1.0
    breaker_slow_call_rate: Annotated[Rate, Meta(description="opens at this share of slow attempts")] = 0.8
    breaker_consecutive_failures: Annotated[Count, Meta(description="opens after so many in a row")] = 20
    breaker_open_s: Annotated[Seconds, Meta(description="first pause; doubles while trials fail")] = 1.0
    breaker_open_max_s: Annotated[Seconds, Meta(description="longest pause")] = 5.0
    breaker_half_open_calls: Annotated[Count, Meta(description="trials that decide")] = 3

    rounds_max: Annotated[Count, Meta(description="calls for one record before it is parked")] = 8
    rounds_pause_s: Annotated[Seconds, Meta(description="ceiling of the first pause between two; doubles")] = 0.5
    rounds_pause_cap_s: Annotated[Seconds, Meta(description="ceiling of all of them")] = 10.0

    intake_max_records: Annotated[Count, Meta(description="records in memory at which Kafka is paused")] = 1000
    intake_resume_records: Annotated[int, Meta(ge=0, description="and at which it is resumed")] = 500
    intake_max_value_bytes: Annotated[Count, Meta(description="larger records are dead letters")] = 1024 * 1024
    intake_commit_interval_s: Annotated[Seconds, Meta(description="at most this much work is unknown to the group")] = (
        1.0
    )
    intake_drain_s: Annotated[Seconds, Meta(description="for finishing what is under way")] = 4.0

    worker_metrics_host: Annotated[Text, Meta(description="where /metrics and /resilience are served")] = "127.0.0.1"
    worker_metrics_port: Annotated[Port, Meta(description="0: any free port, which is logged")] = 9464
    worker_stall_s: Annotated[Seconds, Meta(description="calls under way and none ending: the worker exits")] = 60.0
    worker_preflight: Annotated[bool, Meta(description="refuse to start while an endpoint is out of reach")] = True
    worker_ready_line: Annotated[bool, Meta(description="say on standard output when ready, and where")] = False
    worker_log_level: Annotated[Text, Meta(description="debug, info, warning or error")] = "info"

    def kafka(self) -> KafkaSettings:
        """Return the part that Kafka's clients need."""
        return KafkaSettings(
            bootstrap_servers=self.kafka_bootstrap_servers,
            topic=self.kafka_topic,
            group=self.kafka_group,
            fetch_bytes=self.kafka_fetch_bytes,
            session_timeout_ms=self.kafka_session_timeout_ms,
            security_protocol=self.kafka_security_protocol,
            ca_file=self.kafka_ca_file,
            cert_file=self.kafka_cert_file,
            key_file=self.kafka_key_file,
            sasl_mechanism=self.kafka_sasl_mechanism,
            sasl_username=self.kafka_sasl_username,
            sasl_password=self.kafka_sasl_password,
        )

    def letters(self) -> LetterTopics:
        """Return the topics for what is not delivered."""
        return LetterTopics(
            dead=self.kafka_dead_letter_topic or f"{self.kafka_topic}.dead-letter",
            parked=self.kafka_parked_topic or f"{self.kafka_topic}.parked",
        )

    def destination(self) -> Destination:
        """Return where the API is."""
        return Destination(
            name="api",
            url=self.api_url,
            max_connections=self.call_max_in_flight,
            ca_file=self.api_ca_file,
            max_response_bytes=self.api_max_response_bytes,
        )

    def policies(self) -> Policies:
        """Return what governs the calls."""
        return Policies(
            deadline_s=self.call_deadline_s,
            attempt_timeout_s=self.call_attempt_timeout_s,
            retry=RetryPolicy(
                max_attempts=self.retry_max_attempts,
                backoff=FullJitter(base_s=self.retry_base_s, cap_s=self.retry_cap_s),
                retry_after_cap_s=self.retry_after_cap_s,
            ),
            budget=BudgetPolicy(ratio=self.retry_budget_ratio, minimum=self.retry_budget_minimum),
            breaker=self._breaker(),
            bulkhead=BulkheadPolicy(max_in_flight=self.call_max_in_flight, max_queued=self.call_max_in_flight),
        )

    def _breaker(self) -> BreakerPolicy:
        return BreakerPolicy(
            window_s=self.breaker_window_s,
            min_calls=self.breaker_min_calls,
            failure_rate=self.breaker_failure_rate,
            slow_call_s=self.breaker_slow_call_s,
            slow_call_rate=self.breaker_slow_call_rate,
            consecutive_failures=self.breaker_consecutive_failures,
            open_s=self.breaker_open_s,
            open_max_s=self.breaker_open_max_s,
            half_open_calls=self.breaker_half_open_calls,
        )

    def rounds(self) -> RoundsPolicy:
        """Return how often a record is taken up again."""
        pause = FullJitter(base_s=self.rounds_pause_s, cap_s=self.rounds_pause_cap_s)
        return RoundsPolicy(max_rounds=self.rounds_max, pause=pause)

    def intake(self) -> IntakePolicy:
        """Return how records are read and committed."""
        return IntakePolicy(
            valve=ValvePolicy(high=self.intake_max_records, low=self.intake_resume_records),
            commit_interval_s=self.intake_commit_interval_s,
            drain_s=self.intake_drain_s,
        )
