"""One module a group of paths: take the request apart, ask a service, answer with a dto."""
