"""Run PostgreSQL and Valkey from PyPI packages as processes of the current user, for local use and tests.

This package does not use Django or its settings, since it provides DATABASE_URL and REDIS_URL before they are read.
"""
