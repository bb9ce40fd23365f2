"""Engines turn events into `formulas.Activity` columns: in process, in PostgreSQL, on Spark."""
