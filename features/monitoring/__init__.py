"""Monitoring of the store: backlog, freshness, coverage, metrics."""
