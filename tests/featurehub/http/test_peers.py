"""A request comes from the address and by the scheme that the front tells; what others tell is forgotten."""

from typing import Any

import pytest
from django.test import RequestFactory, override_settings

from featurehub.access.limits import FAILURES_PER_MINUTE
from featurehub.http.handler import Handler
from featurehub.http.peers import tell_client

ON_A_SOCKET = ""


def told(peer: str, *, forwarded_for: str | None = None, proto: str | None = None) -> dict[str, Any]:
    headers = {"HTTP_X_FORWARDED_FOR": forwarded_for, "HTTP_X_FORWARDED_PROTO": proto}
    environ = {"REMOTE_ADDR": peer, **{name: value for name, value in headers.items() if value is not None}}
    tell_client(environ)
    return environ


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        (ON_A_SOCKET, "192.0.2.1", "192.0.2.1"),
        (ON_A_SOCKET, "2001:db8::1", "2001:db8::1"),
        (ON_A_SOCKET, None, ON_A_SOCKET),
        ("192.0.2.9", "198.51.100.7", "192.0.2.9"),
        ("127.0.0.1", "198.51.100.7", "127.0.0.1"),
    ],
)
def test_the_clients_address_is_what_the_front_tells_and_nobody_else(
    peer: str, forwarded_for: str | None, client: str
) -> None:
    assert told(peer, forwarded_for=forwarded_for)["REMOTE_ADDR"] == client


@pytest.mark.parametrize(("peer", "is_secure"), [(ON_A_SOCKET, True), ("127.0.0.1", False), ("192.0.2.9", False)])
def test_the_scheme_is_believed_of_the_front_only(peer: str, is_secure: bool) -> None:
    assert ("HTTP_X_FORWARDED_PROTO" in told(peer, proto="https")) is is_secure


def test_a_stranger_is_sent_to_https_whatever_it_says(db: None) -> None:
    with override_settings(SECURE_SSL_REDIRECT=True):
        statuses = [status_of(peer, HTTP_X_FORWARDED_PROTO="https") for peer in ("192.0.2.9", ON_A_SOCKET)]
    assert statuses == ["301 Moved Permanently", "200 OK"]


@pytest.mark.usefixtures("committed")
def test_failed_keys_are_counted_by_the_address_that_the_front_tells() -> None:
    def guess(client: str) -> str:
        return status_of(
            ON_A_SOCKET, path="/api/v1/weights/", HTTP_AUTHORIZATION="Api-Key fh_guess", HTTP_X_FORWARDED_FOR=client
        )

    statuses = [guess("192.0.2.1") for _ in range(FAILURES_PER_MINUTE + 1)]
    assert statuses[-2:] == ["401 Unauthorized", "429 Too Many Requests"]
    assert guess("192.0.2.2") == "401 Unauthorized"


def status_of(peer: str, *, path: str = "/admin/login/", **headers: str) -> str:
    started: list[str] = []
    environ = {**RequestFactory()._base_environ(), "REMOTE_ADDR": peer, "PATH_INFO": path, **headers}
    Handler()(environ, lambda status, _: started.append(status))
    return started[0]
