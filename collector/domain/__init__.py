"""Words shared by every part: events, observations, ports. No I/O, no clock."""
