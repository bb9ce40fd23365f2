"""Clients that note how long each of their requests takes."""

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import Any

numbers = count()
SECONDS_AT_MOST = 60
SECONDS_PROMISED = 2.0
SECONDS_TO_RECOVER = 10.0
SECONDS_AT_ONCE = 0.25


@dataclass(frozen=True, slots=True)
class Answer:
    """A response and the seconds that it took; the status 0 stands for none."""

    status: int
    seconds: float
    body: Any = None
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Web:
    """A web process that is asked by one connection for each request, as many clients do."""

    port: int
    key: str
    log: Path

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        begun = time.monotonic()
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=SECONDS_AT_MOST)) as connection:
            headers = {"Authorization": f"Api-Key {key or self.key}", "Content-Type": "application/json"}
            try:
                connection.request(method, path, None if body is None else json.dumps(body), headers)
                response = connection.getresponse()
                text = response.read()
            except HTTPException:
                return Answer(0, time.monotonic() - begun)
        is_json = response.headers.get_content_type() == "application/json"
        answer = json.loads(text) if is_json else text
        return Answer(response.status, time.monotonic() - begun, answer, response.headers["Retry-After"])

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def read(self, customer_id: str, *, key: str | None = None) -> Answer:
        return self.ask("GET", f"/api/v1/customers/{customer_id}/features/?names=engagement_score,cart_value", key=key)

    def write(self, customer_id: str, value: float) -> Answer:
        features = {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": value}}
        return self.ask("PATCH", f"/api/v1/customers/{customer_id}/features/", features)

    def read_many(self, customer_ids: list[str]) -> Answer:
        body = {"customer_ids": customer_ids, "names": ["engagement_score", "cart_value"]}
        return self.ask("POST", "/api/v1/features/batch/", body)

    def ingest(self) -> Answer:
        event = {
            "event_id": f"e{next(numbers)}", "customer_id": f"poster{next(numbers)}", "event_type": "login",
            "timestamp": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        return self.ask("POST", "/api/v1/events/", {"events": [event]})


def ask_for(seconds: float, *clients: Callable[[], Answer], pause: float = 0.0) -> list[Answer]:
    """Let each client ask again and again for so long, all at once. Return the answers in the order of their ends."""
    answers: list[Answer] = []
    end = time.monotonic() + seconds

    def go_on(ask: Callable[[], Answer]) -> None:
        while time.monotonic() < end:
            answers.append(ask())
            time.sleep(pause)

    with ThreadPoolExecutor(len(clients)) as threads:
        list(threads.map(go_on, clients))
    return answers


def longest(answers: list[Answer]) -> float:
    return max(answer.seconds for answer in answers)


def p99(answers: list[Answer]) -> float:
    return sorted(answer.seconds for answer in answers)[int(len(answers) * 0.99)]


def are_at_once(answers: list[Answer]) -> bool:
    """Return whether nobody waited for what is away: 99 of 100 not at all, and the others no longer than is promised.

    A shared machine stops each of its processes for some tenths of a second, now and then.
    """
    return p99(answers) < SECONDS_AT_ONCE and longest(answers) < SECONDS_PROMISED


def statuses(answers: list[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


def report(fault: str, **answers: list[Answer]) -> None:
    """Print the waits, which pytest shows with -rP."""
    for name, part in answers.items():
        print(
            f"| {fault} | {name} | {len(part)} | {dict(statuses(part))} | {p99(part) * 1000:.0f} ms "
            f"| {longest(part) * 1000:.0f} ms |"
        )
