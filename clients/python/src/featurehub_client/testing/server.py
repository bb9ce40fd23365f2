"""The fake server: httpx asks it in place of the network."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import RLock
from typing import Any
from urllib.parse import unquote

import httpx
import msgspec

from featurehub_client.async_client import AsyncFeatureHub
from featurehub_client.client import FeatureHub
from featurehub_client.sent import NewEvent
from featurehub_client.testing.asked import Asked
from featurehub_client.testing.endpoints import ENDPOINTS
from featurehub_client.testing.refusals import Refused, not_found
from featurehub_client.testing.registry import CONTEXTUAL, Feature, Registry
from featurehub_client.testing.store import Store

URL = "http://featurehub.test"
API_KEY = "fh_test"
ALL_SCOPES = frozenset(("read", "write", "ingest"))
PREFIX = "/api/v1/"


@dataclass(slots=True, kw_only=True)
class Failure:
    """Answers, or errors of the network, that take the place of the next `times` answers."""

    times: int
    status: int = 503
    retry_after: float | None = None
    error: type[httpx.TransportError] | None = None


class FakeServer:
    """A FeatureHub in memory, of one test.

    It has the features, event types and weights that a new FeatureHub has, checks what it is sent, and answers in the
    same shapes and sentences. It differs in this: values are computed when events are stored, not some moments later,
    and change with events alone; there is one version of each type; nothing expires; no key has a limit. Make clients
    by `client` and `async_client`; threads may share it.
    """

    def __init__(self) -> None:
        self.registry = Registry()
        self.store = Store(registry=self.registry)
        self.keys: dict[str, frozenset[str]] = {API_KEY: ALL_SCOPES}
        # Every request so far, in the order of their arrival.
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self.answer)
        self._failures: list[Failure] = []
        self._lock = RLock()

    # --- For tests ----------------------------------------------------------------------------------------------------

    def client(self, api_key: str = API_KEY, **settings: Any) -> FeatureHub:
        """Return a client of this server; `settings` as for FeatureHub."""
        return FeatureHub(URL, api_key, transport=self.transport, **settings)

    def async_client(self, api_key: str = API_KEY, **settings: Any) -> AsyncFeatureHub:
        """Return an asynchronous client of this server; `settings` as for AsyncFeatureHub."""
        return AsyncFeatureHub(URL, api_key, transport=self.transport, event_transport=self.transport, **settings)

    def make_key(self, name: str, *, scopes: Collection[str]) -> str:
        """Make an API key with these scopes, and return it."""
        key = f"fh_{name}"
        self.keys[key] = frozenset(scopes)
        return key

    def register(
        self,
        name: str,
        *,
        feature_type: str = CONTEXTUAL,
        default: float = 0.0,
        minimum: float | None = None,
        maximum: float | None = None,
    ) -> None:
        """Register a feature."""
        self.registry.features[name] = Feature(
            name=name, feature_type=feature_type, default=default, minimum=minimum, maximum=maximum
        )

    def set_values(self, customer_id: str, values: Mapping[str, float], *, timestamp: datetime | None = None) -> None:
        """Give a customer values of any type, computed ones among them, as if they had been computed."""
        with self._lock:
            for feature_type in self.registry.types():
                own = {
                    name: value
                    for name, value in values.items()
                    if self.registry.features[name].feature_type == feature_type
                }
                if own:
                    self.store.write(customer_id, own, feature_type=feature_type, timestamp=timestamp)

    def events_of(self, customer_id: str) -> list[NewEvent]:
        """Return the customer's stored events, in the order in which they came."""
        with self._lock:
            return list(self.store.events.get(customer_id, {}).values())

    def fail(
        self,
        *,
        times: int = 1,
        status: int = 503,
        retry_after: float | None = None,
        error: type[httpx.TransportError] | None = None,
    ) -> None:
        """Answer the next requests with this status, or with an error of the network, such as httpx.ReadTimeout."""
        with self._lock:
            self._failures.append(Failure(times=times, status=status, retry_after=retry_after, error=error))

    # --- Answers ------------------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request: what httpx's transport calls."""
        request.read()
        with self._lock:
            self.requests.append(request)
            failure = self._next_failure()
            if failure is not None and failure.error is not None:
                raise failure.error("The fake server was told to fail.", request=request)
            if failure is not None:
                return failed(failure)
            try:
                status, answer = self._answer(request)
            except Refused as refused:
                status, answer = refused.status, refused.as_body()
            return as_response(status, answer)

    def _next_failure(self) -> Failure | None:
        self._failures = [failure for failure in self._failures if failure.times > 0]
        if not self._failures:
            return None
        self._failures[0].times -= 1
        return self._failures[0]

    def _answer(self, request: httpx.Request) -> tuple[int, Mapping[str, Any]]:
        path = request.url.raw_path.decode().partition("?")[0]
        methods = set()
        for method, pattern, scope, endpoint in ENDPOINTS:
            match = re.fullmatch(PREFIX + pattern, path)
            if match is None:
                continue
            if method != request.method:
                methods.add(method)
                continue
            check_key(request, keys=self.keys, scope=scope)
            parts = {name: unquote(text) for name, text in match.groupdict().items()}
            answer = endpoint(self.store, Asked(request=request, parts=parts))
            return answer if isinstance(answer, tuple) else (200, answer)
        raise no_such_address(request, methods=methods)


def check_key(request: httpx.Request, *, keys: Mapping[str, Collection[str]], scope: str) -> None:
    """Raise Refused where the request has no key, an unknown one, or one without the scope."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() not in ("bearer", "api-key"):
        detail = "Authentication credentials were not provided."
        raise Refused(detail, status=401, code="not_authenticated")
    if key not in keys:
        detail = "This API key is unknown, has expired or was revoked."
        raise Refused(detail, status=401, code="authentication_failed")
    if scope not in keys[key]:
        raise Refused(f"This API key lacks the scope {scope}.", status=403, code="permission_denied")


def no_such_address(request: httpx.Request, *, methods: Iterable[str]) -> Refused:
    """Return the error for an address that is none, or does not take the method."""
    if methods:
        return Refused(f'Method "{request.method}" not allowed.', status=405, code="method_not_allowed")
    return not_found("There is no such address.")


def failed(failure: Failure) -> httpx.Response:
    """Return the answer of a server that is told to fail."""
    detail = "A required service is unavailable; try again later."
    refused = Refused(detail, status=failure.status, code="unavailable")
    response = as_response(failure.status, refused.as_body())
    if failure.retry_after is not None:
        response.headers["Retry-After"] = f"{failure.retry_after:g}"
    return response


def as_response(status: int, answer: Mapping[str, Any]) -> httpx.Response:
    """Return an answer as JSON."""
    content = msgspec.json.encode(answer)
    return httpx.Response(status, content=content, headers={"Content-Type": "application/json"})
