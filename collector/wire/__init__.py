"""Sans-I/O parsers of what goes over the wire."""
