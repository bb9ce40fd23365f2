"""The offline store: versioned values in PostgreSQL, only ever appended."""
