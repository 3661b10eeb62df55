"""From observed bytes to HTTP exchanges: connections, attempts, services, routes."""
