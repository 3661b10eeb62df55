"""NetScope: HTTP exchanges of unmodified processes, read from the kernel."""
