"""The events endpoint."""
