"""Read from a WSGI environment what the peer says of the request: who asks, by what scheme, how long the body is."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from django.conf import settings

FORWARDED_FOR, FORWARDED_PROTO = "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO"


def tell_client(environ: dict[str, Any]) -> None:
    """Set REMOTE_ADDR to the client's address where a trusted peer tells it, and forget what other peers tell.

    Trusted are the front, which is on a Unix socket, and the networks of FEATUREHUB_TRUSTED_PROXIES. Django believes
    the X-Forwarded-Proto that is left (SECURE_PROXY_SSL_HEADER).
    """
    if is_trusted(environ["REMOTE_ADDR"]):
        if forwarded := environ.get(FORWARDED_FOR):
            environ["REMOTE_ADDR"] = client_address(forwarded, peer=environ["REMOTE_ADDR"])
    else:
        environ.pop(FORWARDED_FOR, None)
        environ.pop(FORWARDED_PROTO, None)


def client_address(forwarded: str, *, peer: str) -> str:
    """Return the last address of X-Forwarded-For that is not a trusted proxy's: each adds the peer that it has.

    What stands before that is the client's own and can be anything.
    """
    found = peer
    for entry in reversed(forwarded.split(",")):
        try:
            found = str(ip_address(entry.strip()))
        except ValueError:
            return found
        if not is_trusted(found):
            return found
    return found


def is_trusted(address: str) -> bool:
    """Return whether a peer is trusted. One on a Unix socket has no address."""
    return not address or is_inside(address, networks=settings.TRUSTED_PROXIES)


@lru_cache(maxsize=1024)
def is_inside(address: str, *, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Return whether one of the networks has the address; an IPv4 address can be written as an IPv6 one."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)


def declared_length(environ: Mapping[str, Any]) -> int:
    """Return the Content-Length, 0 without one."""
    try:
        return int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:  # Django takes it for 0, too
        return 0
