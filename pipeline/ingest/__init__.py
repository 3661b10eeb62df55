"""Records in from Kafka, offsets back."""
