"""The command line: thin entries over the service."""
