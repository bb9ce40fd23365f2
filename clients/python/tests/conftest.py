"""Fixtures: the tests of what the API answers run on the fake server and on a real one, with both clients.

The real one is that of FEATUREHUB_URL and FEATUREHUB_API_KEY, with a key of the scope `read` in
FEATUREHUB_READ_API_KEY. `make test-clients` starts it. Without them its tests are skipped.
"""

import asyncio
import inspect
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from featurehub_client import AsyncFeatureHub, FeatureHub
from featurehub_client.testing import FakeServer
from featurehub_client.testing.server import API_KEY, URL

T = TypeVar("T")
SECONDS_AT_MOST = 30.0


@dataclass(frozen=True)
class Target:
    """A server, by its address and keys; `fake` where it is one."""

    url: str
    key: str
    read_key: str
    fake: FakeServer | None = None

    def client(self, key: str | None = None, **settings: Any) -> FeatureHub:
        transport = {} if self.fake is None else {"transport": self.fake.transport}
        return FeatureHub(self.url, key or self.key, **transport, **settings)

    def async_client(self, **settings: Any) -> AsyncFeatureHub:
        fake = {} if self.fake is None else {"transport": self.fake.transport, "event_transport": self.fake.transport}
        return AsyncFeatureHub(self.url, self.key, **fake, **settings)


class Awaited:
    """An AsyncFeatureHub whose methods are awaited, so that a test is written once for both clients."""

    def __init__(self, hub: AsyncFeatureHub, runner: asyncio.Runner) -> None:
        self._hub = hub
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._hub, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            answer = attribute(*arguments, **named)
            if inspect.isasyncgen(answer):
                return self._runner.run(gathered(answer))
            return self._runner.run(answer)

        return call


async def gathered(rows: Any) -> list[Any]:
    return [row async for row in rows]


@pytest.fixture(params=["fake", "real"])
def target(request: pytest.FixtureRequest) -> Target:
    """Return the fake server, then the real one."""
    if request.param == "fake":
        fake = FakeServer()
        return Target(URL, API_KEY, fake.make_key("reader", scopes=["read"]), fake)
    if "FEATUREHUB_URL" not in os.environ:
        pytest.skip("FEATUREHUB_URL is not set: `make test-clients` starts a server and sets it.")
    return Target(os.environ["FEATUREHUB_URL"], os.environ["FEATUREHUB_API_KEY"], os.environ["FEATUREHUB_READ_API_KEY"])


@pytest.fixture(params=["sync", "async"])
def hub(request: pytest.FixtureRequest, target: Target) -> Iterator[Any]:
    """Return a client of the server: one that blocks, then the asynchronous one."""
    if request.param == "sync":
        with target.client() as client:
            yield client
        return
    with asyncio.Runner() as runner:
        client = target.async_client()
        yield Awaited(client, runner)
        runner.run(client.aclose())


@pytest.fixture
def customer_id() -> str:
    """Return a customer whom no other test has."""
    return f"c-{uuid4().hex}"


def eventually(read: Callable[[], T], until: Callable[[T], bool]) -> T:
    """Return the first answer that fulfils the condition. Workers compute some moments after events are stored."""
    deadline = time.monotonic() + SECONDS_AT_MOST
    while not until(answer := read()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer
