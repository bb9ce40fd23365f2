"""The offline store: versioned values in PostgreSQL, append-only."""
