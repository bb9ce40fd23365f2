"""The Django project: settings, URLs, health, API keys, HTTP, and the development server."""

from featurehub.celery import app as celery_app

__all__ = ["celery_app"]
