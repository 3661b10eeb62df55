"""Calls to the external API under one set of resilience policies."""
