"""Read from a WSGI environment what the peer says of the request: who asks, by what scheme, how long the body is."""

from collections.abc import Mapping
from typing import Any

FORWARDED_FOR, FORWARDED_PROTO = "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO"


def tell_client(environ: dict[str, Any]) -> None:
    """Set REMOTE_ADDR to the client's address where the front tells it, and forget what other peers tell.

    The front is on a Unix socket, whose peers have no address. It sends one value of each header, and none of a
    client's with underscores, which WSGI takes for the same: granian keeps one of `X-Forwarded-Proto` and
    `X_Forwarded_Proto`, whoever sent it. So no other peer is believed. Django believes the X-Forwarded-Proto that is
    left (SECURE_PROXY_SSL_HEADER).
    """
    if environ["REMOTE_ADDR"]:
        environ.pop(FORWARDED_FOR, None)
        environ.pop(FORWARDED_PROTO, None)
    else:
        environ["REMOTE_ADDR"] = environ.get(FORWARDED_FOR, "")


def declared_length(environ: Mapping[str, Any]) -> int:
    """Return the Content-Length, 0 without one and for less than 0: reading so many bytes would read without end."""
    try:
        return max(int(environ.get("CONTENT_LENGTH") or 0), 0)
    except ValueError:  # Django takes it for 0, too
        return 0
