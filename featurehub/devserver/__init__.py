"""PostgreSQL and Valkey from packages on PyPI, as processes of this machine's user, for local use and tests.

Nothing here needs Django or its settings: this is what makes `DATABASE_URL` and `REDIS_URL` before they are read.
"""
