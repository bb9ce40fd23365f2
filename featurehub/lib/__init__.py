"""Modules that know neither events nor features: errors, snapshots, Parquet, settings, formatting."""
