"""Send operations over HTTP: one pool of connections for each client, retries, and answers as types or errors."""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

import httpx
import msgspec

from featurehub_client.errors import NoAnswerError, UnexpectedAnswerError, api_error
from featurehub_client.operations import Operation
from featurehub_client.retries import Retries, retry_after_of
from featurehub_client.version import __version__

T = TypeVar("T")
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The address of a server, the API key, and how requests are sent.

    `timeout` is in seconds, for connecting, sending and each wait for bytes. `connections` is the most that are open at
    once; they are kept and used again. A transport takes the place of the network, for tests.
    """

    url: str
    api_key: str = field(repr=False)
    timeout: float = 10.0
    retries: Retries = field(default_factory=Retries)
    connections: int = 20
    transport: httpx.BaseTransport | None = None
    async_transport: httpx.AsyncBaseTransport | None = None

    @property
    def base_url(self) -> str:
        """The address that the paths of operations are below."""
        return f"{self.url.rstrip('/')}/api/v1/"

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of each request."""
        return {
            "Authorization": f"Bearer {self.api_key}",
            "Accept": JSON,
            "User-Agent": f"featurehub-client/{__version__}",
        }

    @property
    def limits(self) -> httpx.Limits:
        """The size of the pool of connections."""
        return httpx.Limits(max_connections=self.connections, max_keepalive_connections=self.connections)


def connection_to(url: str | None, api_key: str | None) -> tuple[str, str]:
    """Return address and key, from FEATUREHUB_URL and FEATUREHUB_API_KEY where they are None.

    Raise ValueError where one is missing.
    """
    url, api_key = url or os.environ.get("FEATUREHUB_URL"), api_key or os.environ.get("FEATUREHUB_API_KEY")
    if not url:
        raise ValueError("Give the server's address as `url`, or set FEATUREHUB_URL.")
    if not api_key:
        raise ValueError("Give an API key as `api_key`, or set FEATUREHUB_API_KEY.")
    return url, api_key


class Sender:
    """Send operations; threads may share it."""

    def __init__(self, connection: Connection) -> None:
        self._retries = connection.retries
        self._client = httpx.Client(
            base_url=connection.base_url,
            headers=connection.headers,
            timeout=connection.timeout,
            limits=connection.limits,
            transport=connection.transport,
        )

    def send(self, operation: Operation[T]) -> T:
        """Return the answer. Raise FeatureHubError where there is none, also after retries."""
        for attempt in count(1):
            outcome = self._attempt(operation)
            delay = self._retries.delay_after(outcome, attempt=attempt, is_repeatable=operation.is_repeatable)
            if delay is None:
                break
            time.sleep(delay)
        return answer_of(operation, outcome)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _attempt(self, operation: Operation[T]) -> "httpx.Response | httpx.TransportError":
        try:
            return self._client.send(request_of(self._client, operation))
        except httpx.TransportError as error:
            return error


class AsyncSender:
    """Send operations from one event loop."""

    def __init__(self, connection: Connection) -> None:
        self._retries = connection.retries
        self._client = httpx.AsyncClient(
            base_url=connection.base_url,
            headers=connection.headers,
            timeout=connection.timeout,
            limits=connection.limits,
            transport=connection.async_transport,
        )

    async def send(self, operation: Operation[T]) -> T:
        """Return the answer. Raise FeatureHubError where there is none, also after retries."""
        for attempt in count(1):
            outcome = await self._attempt(operation)
            delay = self._retries.delay_after(outcome, attempt=attempt, is_repeatable=operation.is_repeatable)
            if delay is None:
                break
            await asyncio.sleep(delay)
        return answer_of(operation, outcome)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _attempt(self, operation: Operation[T]) -> "httpx.Response | httpx.TransportError":
        try:
            return await self._client.send(request_of(self._client, operation))
        except httpx.TransportError as error:
            return error


def request_of(client: httpx.Client | httpx.AsyncClient, operation: Operation[T]) -> httpx.Request:
    """Return the operation as a request of the client."""
    headers = None if operation.body is None else {"Content-Type": JSON}
    return client.build_request(
        operation.method,
        operation.path,
        params=list(operation.query) or None,
        content=operation.body,
        headers=headers,
    )


def answer_of(operation: Operation[T], outcome: "httpx.Response | httpx.TransportError") -> T:
    """Return the answer that was got last, as its type. Raise FeatureHubError where it is none."""
    if isinstance(outcome, httpx.TransportError):
        kind = "did not answer in time" if isinstance(outcome, httpx.TimeoutException) else "was not reached"
        raise NoAnswerError(f"The server {kind}: {outcome or type(outcome).__name__}") from outcome
    if outcome.status_code >= 400:
        raise api_error(outcome.status_code, body=outcome.content, retry_after=retry_after_of(outcome))
    if outcome.is_redirect:
        raise UnexpectedAnswerError(f"The server redirects to {outcome.headers.get('Location')}: give that address.")
    try:
        return msgspec.json.decode(outcome.content, type=operation.answer)
    except msgspec.MsgspecError as error:
        raise UnexpectedAnswerError(f"The answer is not one of FeatureHub's: {error}") from error
