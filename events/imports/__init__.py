"""Bulk loads from files: streamed, checked like events over HTTP, safe to run again."""
