"""Retries, timeouts, connections and errors, on the fake server and on sockets."""

import asyncio
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from featurehub_client import (
    ApiError,
    FeatureHub,
    InvalidRequestError,
    NewEvent,
    NoAnswerError,
    RateLimitedError,
    Retries,
    UnavailableError,
    UnexpectedAnswerError,
)
from featurehub_client.retries import retry_after_of
from featurehub_client.testing import FakeServer

QUICK = Retries(first_delay=0.001)
EVENT = NewEvent(customer_id="c1", event_type="login")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_passing_failure_is_retried(featurehub_server: FakeServer, status: int) -> None:
    featurehub_server.fail(times=3, status=status)
    with featurehub_server.client(retries=QUICK) as hub:
        assert hub.get_feature_vector("c1").customer_id == "c1"
    assert len(featurehub_server.requests) == 4


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_a_request_that_is_not_answered_is_retried(
    featurehub_server: FakeServer, error: type[httpx.TransportError]
) -> None:
    featurehub_server.fail(times=2, error=error)
    with featurehub_server.client(retries=QUICK) as hub:
        assert hub.store_events([EVENT]).accepted == 1
    assert len(featurehub_server.requests) == 3


def test_the_asynchronous_client_retries_too(featurehub_server: FakeServer) -> None:
    featurehub_server.fail(times=1, status=503)
    featurehub_server.fail(times=1, error=httpx.ConnectTimeout)

    async def read() -> str:
        async with featurehub_server.async_client(retries=QUICK) as hub:
            return (await hub.get_feature_vector("c1")).customer_id

    assert asyncio.run(read()) == "c1"
    assert len(featurehub_server.requests) == 3


def test_the_last_error_is_raised_after_the_attempts(featurehub_server: FakeServer) -> None:
    featurehub_server.fail(times=10, status=503)
    twice = Retries(attempts=2, first_delay=0.001)
    unavailable = pytest.raises(UnavailableError, match="A required service is unavailable; try again later")
    with featurehub_server.client(retries=twice) as hub, unavailable as error:
        hub.get_feature_vector("c1")
    assert (error.value.status, error.value.code) == (503, "unavailable")
    assert len(featurehub_server.requests) == 2


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [
        ({"status": 429}, 2),
        ({"error": httpx.ConnectError}, 2),
        ({"status": 503}, 1),
        ({"error": httpx.ReadTimeout}, 1),
    ],
)
def test_a_write_without_a_moment_is_sent_again_only_if_it_did_not_happen(
    featurehub_server: FakeServer, failure: dict[str, object], attempts: int
) -> None:
    featurehub_server.fail(**failure)  # type: ignore[arg-type]
    with featurehub_server.client(retries=QUICK) as hub:
        try:
            hub.set_customer_features("c1", {"cart_value": 1.0}, feature_type="contextual")
        except (UnavailableError, NoAnswerError):
            assert attempts == 1
    assert len(featurehub_server.requests) == attempts


def test_a_write_with_a_moment_is_retried(featurehub_server: FakeServer) -> None:
    featurehub_server.fail(error=httpx.ReadTimeout)
    with featurehub_server.client(retries=QUICK) as hub:
        now = datetime.now(UTC)
        hub.set_customer_features("c1", {"cart_value": 1.0}, feature_type="contextual", timestamp=now)
    assert len(featurehub_server.requests) == 2


def test_a_refusal_is_not_retried(featurehub_server: FakeServer) -> None:
    with featurehub_server.client() as hub, pytest.raises(InvalidRequestError):
        hub.get_feature_vector("a b")
    assert len(featurehub_server.requests) == 1


def test_retry_after_is_waited_for(featurehub_server: FakeServer) -> None:
    featurehub_server.fail(status=429, retry_after=1)
    began = time.monotonic()
    with featurehub_server.client(retries=QUICK) as hub:
        hub.get_feature_vector("c1")
    assert 1.0 <= time.monotonic() - began < 3.0


def test_a_long_retry_after_is_left_to_the_caller(featurehub_server: FakeServer) -> None:
    featurehub_server.fail(status=429, retry_after=3600)
    with featurehub_server.client() as hub, pytest.raises(RateLimitedError) as error:
        hub.get_feature_vector("c1")
    assert error.value.retry_after == 3600
    assert len(featurehub_server.requests) == 1


def test_retry_after_may_be_a_date() -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    seconds = retry_after_of(httpx.Response(503, headers={"Retry-After": in_a_minute}))
    assert seconds is not None
    assert 57 <= seconds <= 60
    assert retry_after_of(httpx.Response(503, headers={"Retry-After": "soon"})) is None
    assert retry_after_of(httpx.Response(503)) is None


def test_waits_are_random_and_grow_up_to_a_limit() -> None:
    retries = Retries(attempts=20, first_delay=1.0, longest_delay=4.0)
    response = httpx.Response(503)
    for attempt, longest in ((1, 1.0), (2, 2.0), (3, 4.0), (9, 4.0)):
        delays = [retries.delay_after(response, attempt=attempt, is_repeatable=True) for _ in range(200)]
        known = [delay for delay in delays if delay is not None]
        assert len(set(known)) > 100
        assert 0.7 * longest < max(known) <= longest


# --- Sockets ----------------------------------------------------------------------------------------------------------


class Pages(BaseHTTPRequestHandler):
    """A server that is no FeatureHub; it notes the port of each connection."""

    protocol_version = "HTTP/1.1"
    ports: set[int] = set()

    def do_GET(self) -> None:
        self.ports.add(self.client_address[1])
        if "moved" in self.path:
            self.send_response(301)
            self.send_header("Location", "https://features.example.com/")
            content = b""
        else:
            self.send_response(500 if "broken" in self.path else 200)
            content = b"<html>"
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Write nothing."""


@pytest.fixture
def pages() -> Iterator[str]:
    """Return the address of a server that is no FeatureHub."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_is_not_featurehubs_answer_is_told(pages: str) -> None:
    with FeatureHub(pages, "key") as hub:
        with pytest.raises(UnexpectedAnswerError, match="The answer is not one of FeatureHub's"):
            hub.get_feature_vector("c1")
        with pytest.raises(
            UnexpectedAnswerError, match=r"redirects to https://features\.example\.com/: give that addr"
        ):
            hub.get_feature_vector("moved")
        with pytest.raises(UnavailableError, match="The server answers with status 500"):
            hub.get_feature_vector("broken")


def test_a_connection_is_used_again(pages: str) -> None:
    Pages.ports.clear()
    with FeatureHub(pages, "key") as hub:
        for _ in range(5):
            with pytest.raises(UnexpectedAnswerError):
                hub.get_feature_vector("c1")
    assert len(Pages.ports) == 1


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        hub = FeatureHub(address, "key", timeout=0.05, retries=Retries(attempts=1))
        with hub, pytest.raises(NoAnswerError, match="did not answer in time") as error:
            hub.get_feature_vector("c1")
    assert isinstance(error.value.__cause__, httpx.ReadTimeout)


def test_a_server_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    with FeatureHub(address, "key", retries=QUICK) as hub, pytest.raises(NoAnswerError, match="was not reached"):
        hub.get_feature_vector("c1")


def test_an_error_can_be_pickled(featurehub: FeatureHub) -> None:
    with pytest.raises(ApiError) as error:
        featurehub.get_feature_vector("a b")
    copy = pickle.loads(pickle.dumps(error.value))  # noqa: S301
    assert (type(copy), copy.status, copy.attr, str(copy)) == (
        InvalidRequestError, 400, "customer_id", str(error.value)
    )  # fmt: skip


def test_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEATUREHUB_URL", raising=False)
    with pytest.raises(ValueError, match="Give the server's address as `url`, or set FEATUREHUB_URL"):
        FeatureHub()
    monkeypatch.setenv("FEATUREHUB_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("FEATUREHUB_API_KEY", raising=False)
    with pytest.raises(ValueError, match="Give an API key as `api_key`, or set FEATUREHUB_API_KEY"):
        FeatureHub()
    monkeypatch.setenv("FEATUREHUB_API_KEY", "key")
    FeatureHub().close()
