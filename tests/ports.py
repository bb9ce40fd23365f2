"""Free ports for the servers that tests start."""

import random

from featurehub.devserver.server import is_free

# Ports from 32768 on are given to outgoing connections, and 15000 to 25000 to the embedded servers.
PORTS = range(25_000, 32_000)


def free_port() -> int:
    """Return a port that nobody listens on; another one than a test run beside this one gets, nearly always."""
    return next(port for port in random.sample(PORTS, len(PORTS)) if is_free(port))
