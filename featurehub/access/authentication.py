"""`Authorization: Api-Key KEY`, checked against a copy in memory: no query per request."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from featurehub.access.models import ApiKey, hash_key
from featurehub.snapshot import Snapshot

SCHEME = "Api-Key "
# An unknown key may have been made just now; asking again at most this often keeps guesses from becoming queries.
LOOK_AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Client:
    """Who is asking: an API key's id, name and scopes."""

    key_id: int
    name: str
    scopes: frozenset[str]
    is_authenticated: bool = True


def load_clients() -> Mapping[bytes, Client]:
    """The keys that are not revoked, by hash: one query."""
    keys = ApiKey.objects.filter(revoked_at__isnull=True)
    return {bytes(key.hashed_key): Client(key_id=key.pk, name=key.name, scopes=frozenset(key.scopes)) for key in keys}


clients = Snapshot(load_clients, seconds=settings.SNAPSHOT_SECONDS)


def client_of(request: HttpRequest) -> Client:
    """The client of the request's key. A revoked key is refused within SNAPSHOT_SECONDS.

    Raises NotAuthenticated without a key, AuthenticationFailed for one that is unknown.
    """
    header: str = request.META.get("HTTP_AUTHORIZATION", "")
    if not header.startswith(SCHEME):
        raise NotAuthenticated
    hashed = hash_key(header[len(SCHEME) :].strip())
    client = clients.get().get(hashed) or clients.get(younger_than=LOOK_AGAIN_SECONDS).get(hashed)
    if client is None:
        raise AuthenticationFailed("This API key is unknown or was revoked.")
    return client


class ApiKeyAuthentication(BaseAuthentication):
    """What DRF and the OpenAPI schema know of the keys; `ApiView.admit` checks them."""

    def authenticate(self, request: Request) -> tuple[Client, None]:
        return client_of(request._request), None

    def authenticate_header(self, request: Request) -> str:
        return "Api-Key"
