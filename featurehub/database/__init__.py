"""Django's PostgreSQL engine with a limit to every wait, and a breaker, in the processes that answer requests."""
