"""The Django project: settings, URLs, errors, health, API keys and the embedded servers."""

from featurehub.celery import app as celery_app

__all__ = ["celery_app"]
