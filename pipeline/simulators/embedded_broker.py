"""A Kafka-protocol broker inside the process, for the demo: librdkafka's mock cluster."""

from typing import Any

from pipeline.errors import SimulatorFailed


class EmbeddedBroker:
    """Lives as long as the object does; keeps everything in memory, on loopback."""

    def __init__(self, topics: tuple[str, ...] = ()) -> None:
        try:
            from confluent_kafka.admin import AdminClient  # only the demo needs it, and it may not be installed
        except ImportError as problem:
            raise SimulatorFailed("the embedded broker needs the package confluent-kafka (extra: demo)") from problem
        self._cluster: Any = AdminClient({"test.mock.num.brokers": 1, "bootstrap.servers": "ignored", "log_level": 3})
        for topic in topics:
            self._cluster.list_topics(topic, timeout=10)  # asking for a topic makes it; nothing else does
        brokers = self._cluster.list_topics(timeout=10).brokers
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())
