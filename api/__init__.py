"""REST, Prometheus and WebSocket faces of the collector. Imports the domain and its ports, nothing else of it."""
