"""Django's PostgreSQL engine with a limit to every wait, a breaker for requests, and a `migrate` that gives way."""
