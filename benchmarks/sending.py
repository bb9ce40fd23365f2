"""Events as a client sends them, and the client."""

import http.client
import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

from benchmarks.customers import customer_id
from benchmarks.servers import Server
from events.event_types import EVENT_TYPES

CUSTOMERS = 10_000
numbers = count(1)
draw = random.Random(3)


class Refused(Exception):
    """An answer other than 2xx to a request that should have been accepted."""


def make_events(number: int) -> list[dict[str, object]]:
    """Return new events of random customers in the last two days; purchases have an amount and a category."""
    run = f"{datetime.now(UTC).timestamp():.0f}"
    return [make_event(customer_id(draw.randrange(CUSTOMERS)), run=run) for _ in range(number)]


def make_event(customer: str, *, run: str, event_type: str | None = None) -> dict[str, object]:
    """Return a new event of the customer."""
    kind = event_type or draw.choice(EVENT_TYPES)
    return {
        "event_id": f"{run}-{next(numbers)}",
        "customer_id": customer,
        "event_type": kind,
        "timestamp": (datetime.now(UTC) - timedelta(seconds=draw.randrange(172_800))).isoformat(),
        "session_id": f"s{draw.randrange(100_000)}",
        "metadata": {"amount": 12.5, "category": "books"} if kind == "purchase" else {"page": "/products/7"},
    }


def bodies(events: Sequence[dict[str, object]], *, size: int) -> Iterator[bytes]:
    """Yield request bodies with `size` events each."""
    for start in range(0, len(events), size):
        yield json.dumps({"events": events[start : start + size]}, separators=(",", ":")).encode()


class Client:
    """One connection to FeatureHub."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._headers = dict(server.headers)

    def post_events(self, body: bytes) -> None:
        """Send a request body of events. Raises Refused."""
        self._ask("POST", "/api/v1/events/", body)

    def value_of(self, customer: str, name: str) -> float:
        """Return a value of the customer. Raises Refused."""
        answer = self._ask("GET", f"/api/v1/customers/{customer}/features/?names={name}")
        return float(answer["features"][name])

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, dict[str, float]]:
        self._connection.request(method, path, body=body, headers=self._headers)
        response = self._connection.getresponse()
        answer: dict[str, dict[str, float]] = json.loads(response.read())
        if response.status // 100 != 2:
            raise Refused(f"{response.status}: {answer}")
        return answer
