"""A client of the API for tests."""

from typing import Any

import orjson
from django.http import HttpResponse
from django.test import Client, TestCase
from django.test.client import FakePayload

from tests.schema_check import MOST_BYTES, check_exchange

JSON = "application/json"


class ApiClient(Client):
    """Django's test client with an API key.

    It sends JSON, runs the commit callbacks of each request, and holds what is sent and answered to the schema.
    """

    def __init__(self, *, key: str | None = None) -> None:
        super().__init__(headers={"Authorization": f"Api-Key {key}"} if key is not None else None)

    def request(self, **request: Any) -> HttpResponse:
        sent = b""
        is_short = 0 < int(request.get("CONTENT_LENGTH") or 0) <= MOST_BYTES
        if is_short and isinstance(payload := request.get("wsgi.input"), FakePayload):
            sent = payload.read()
            request["wsgi.input"] = FakePayload(sent)
        with TestCase.captureOnCommitCallbacks(execute=True):
            answer: HttpResponse = super().request(**request)
        check_exchange(request["REQUEST_METHOD"], request["PATH_INFO"], sent=sent, answer=answer)
        return answer

    def post(self, path: str, data: Any = None, content_type: str = JSON, **extra: Any) -> HttpResponse:
        """Send a POST; `data` is sent as JSON, or as it is where it is bytes."""
        return super().post(path, as_body(data), content_type=content_type, **extra)

    def patch(self, path: str, data: Any = None, content_type: str = JSON, **extra: Any) -> HttpResponse:
        """Send a PATCH; `data` is sent as JSON, or as it is where it is bytes."""
        return super().patch(path, as_body(data), content_type=content_type, **extra)


def as_body(data: Any) -> bytes:
    return data if isinstance(data, bytes) else orjson.dumps(data)


def error_of(response: Any) -> tuple[int, str | None]:
    """Return the status and the attr of an answer that is one error in the contract's form."""
    body = response.json()
    assert set(body) == {"type", "errors"}
    (error,) = body["errors"]
    assert set(error) == {"code", "detail", "attr"}
    assert error["detail"]
    assert error["code"]
    return response.status_code, error["attr"]
