"""Authenticate requests by `Authorization: Bearer KEY` or `Authorization: Api-Key KEY`.

Keys are checked against an in-memory copy, without a query per request.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from featurehub.access.limits import count_failure, count_request
from featurehub.access.models import ApiKey, hash_key
from featurehub.access.uses import note_key_use
from featurehub.lib.snapshot import LOOK_AGAIN_SECONDS, Snapshot

# Schemes of the header, in lower case. Clients that are made from the OpenAPI schema send the first.
SCHEMES = frozenset(("bearer", "api-key"))
CHALLENGE = "Bearer, Api-Key"


@dataclass(frozen=True, slots=True)
class Client:
    """The API key of a request: id, name, scopes, limit and end.

    `requests_per_minute` is None for a key without a limit, `ends_at` (seconds since 1970) for one that never expires.
    """

    key_id: int
    name: str
    scopes: frozenset[str]
    requests_per_minute: int | None = None
    ends_at: float | None = None
    is_authenticated: bool = True


def load_clients() -> Mapping[bytes, Client]:
    """Return the clients of all keys that are not revoked, by hash, with one query."""
    keys = ApiKey.objects.filter(revoked_at__isnull=True)
    return {bytes(key.hashed_key): as_client(key) for key in keys}


def as_client(key: ApiKey) -> Client:
    return Client(
        key_id=key.pk,
        name=key.name,
        scopes=frozenset(key.scopes),
        requests_per_minute=key.requests_per_minute,
        ends_at=None if key.expires_at is None else key.expires_at.timestamp(),
    )


clients = Snapshot(load_clients, seconds=settings.SNAPSHOT_SECONDS, in_background=True)


def client_of(meta: Mapping[str, Any]) -> Client:
    """Return the client of the API key in a request's environment, and count the request against its limit.

    A revoked key is refused, and a new limit or end holds, within SNAPSHOT_SECONDS; an end that is known holds to the
    moment. Raise NotAuthenticated without a key, AuthenticationFailed for one that is unknown or has expired, and
    Throttled for a key over its limit or too many unknown keys from one address.
    """
    header: str = meta.get("HTTP_AUTHORIZATION", "")
    scheme, separator, key = header.partition(" ")
    if not separator or scheme.lower() not in SCHEMES:
        raise NotAuthenticated
    hashed = hash_key(key.strip())
    client = clients.get().get(hashed)
    if client is None or has_ended(client):
        client = clients.get(younger_than=LOOK_AGAIN_SECONDS).get(hashed)
    if client is None or has_ended(client):
        count_failure(meta.get("REMOTE_ADDR", ""))
        raise AuthenticationFailed("This API key is unknown, has expired or was revoked.")
    note_key_use(client.key_id)
    if client.requests_per_minute is not None:
        count_request(client.key_id, per_minute=client.requests_per_minute)
    return client


def has_ended(client: Client) -> bool:
    return client.ends_at is not None and time.time() >= client.ends_at


class ApiKeyAuthentication(BaseAuthentication):
    """The authentication as DRF and the OpenAPI schema see it; `ApiView.admit` checks the keys."""

    def authenticate(self, request: Request) -> tuple[Client, None]:
        return client_of(request.META), None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE
