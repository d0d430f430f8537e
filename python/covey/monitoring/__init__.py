"""Prometheus rules and a Grafana dashboard, generated from the names that server and controller really export."""
