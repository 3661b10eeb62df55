"""What the answers are made of: recent events, the feed, health, invariants. No I/O, no clock."""
