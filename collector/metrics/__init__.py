"""Measure: exchanges in, percentiles over windows, resilience and Prometheus text out. No I/O, no clock."""
