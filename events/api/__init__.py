"""Endpoint that takes events: POST /api/v1/events/."""
