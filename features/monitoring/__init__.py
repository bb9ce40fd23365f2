"""How the store is doing: backlog, freshness, coverage, metrics."""
