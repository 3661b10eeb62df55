"""The observed system: Kafka in, external HTTP API out, resilient. Independent of the collector."""
