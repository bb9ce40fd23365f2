"""Requests as the endpoints of the API see them, and as Django does."""

from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, QueryDict


class ApiRequest:
    """A request to the API: the part of Django's request that endpoints need, under Django's names.

    `path` is decoded, `META` the environment of WSGI. Django's request, and its freeing, cost as much as half of the
    round trip to Redis. It is made where something of Django's needs it: for errors, and for links.
    """

    # The parsed query string. `ApiView` sets it after it has admitted the client.
    GET: QueryDict

    def __init__(self, environ: dict[str, Any]) -> None:
        """Raise UnicodeDecodeError for a path that is not UTF-8."""
        self.META = environ
        self.method: str = environ["REQUEST_METHOD"].upper()
        path: str = environ["PATH_INFO"]
        # Django would replace other bytes by their escapes, so that %FF meant the id of three characters "%FF".
        self.path = path if path.isascii() else path.encode("iso-8859-1").decode()

    @classmethod
    def of(cls, request: HttpRequest) -> "ApiRequest":
        """Return the request that Django has made already."""
        made = cls.__new__(cls)
        made.META, made.method, made.path, made.django = request.META, str(request.method), request.path, request
        return made

    @cached_property
    def django(self) -> HttpRequest:
        """Return Django's request."""
        return PlainRequest({**self.META})

    @property
    def content_type(self) -> str:
        """Return the type of the body, as `content_type_of` does."""
        return content_type_of(self.META)

    def is_secure(self) -> bool:
        """Return whether the client uses HTTPS, as Django decides it."""
        if settings.SECURE_PROXY_SSL_HEADER:
            name, value = settings.SECURE_PROXY_SSL_HEADER
            if name in self.META:
                return bool(self.META[name].partition(",")[0].strip() == value)
        return bool(self.META["wsgi.url_scheme"] == "https")


class PlainRequest(WSGIRequest):
    """A request that ignores the parameters of its content type: bodies and forms are UTF-8.

    Django looks charsets up, and Python keeps the names of those that it does not know for ever: anybody could fill the
    memory with them, without a key. A parameter with a charset of its own (`name*=charset'...`) that is unknown would
    even be a 500, so that the body of such a request is no form. Django's parser of uploads finds its boundary itself.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type = content_type_of(meta)
        self.content_params = {}


def content_type_of(meta: dict[str, Any]) -> str:
    """Return the type of the body in lower case, without parameters; empty where it is not declared, or has a `*`."""
    declared: str = meta.get("CONTENT_TYPE", "")
    return "" if "*" in declared else declared.partition(";")[0].strip().lower()
