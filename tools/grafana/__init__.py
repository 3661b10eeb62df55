"""Parts of the Grafana dashboard; tools/grafana_dashboard.py puts them together."""
