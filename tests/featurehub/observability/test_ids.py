"""The ids of requests: taken from the client or made, given back, and in the lines of the log."""

import io
import os
import re
from typing import Any

import pytest
from django.test import RequestFactory

from featurehub.http.handler import Handler
from featurehub.observability.ids import begin_request, thread_ids
from tests.at_once import in_a_child
from tests.factories import make_client, url_of


def answer_of(path: str, **environ: str) -> tuple[str, list[str]]:
    """Return the status and the ids that an answer of the handler has."""
    started: list[Any] = []
    asked = {**RequestFactory()._base_environ(), **make_client().defaults, "wsgi.input": io.BytesIO()}
    for _ in Handler()(
        asked | {"REQUEST_METHOD": "GET", "PATH_INFO": path} | environ, lambda *head: started.extend(head)
    ):
        pass
    return started[0], [value for name, value in started[1] if name == "X-Request-ID"]


@pytest.mark.parametrize(
    ("path", "status"),
    [(url_of("c1"), "200"), (url_of("c1", "nowhere/"), "404"), ("/healthz", "200"), ("/admin/", "302")],
)
def test_every_answer_gives_back_the_id_of_its_request(db: None, path: str, status: str) -> None:
    answered, ids = answer_of(path, HTTP_X_REQUEST_ID="order-7.a_B", HTTP_HOST="localhost")
    assert (answered[:3], ids) == (status, ["order-7.a_B"])
    assert thread_ids.request_id == "order-7.a_B"


@pytest.mark.parametrize("given", ["", "x" * 65, "two\nlines", "ümlaut", "a b", "/customers/c1/"])
def test_an_id_that_no_log_should_have_is_replaced(db: None, given: str) -> None:
    _, (made,) = answer_of(url_of("c1"), HTTP_X_REQUEST_ID=given)
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", made)


def test_each_request_without_an_id_gets_one_of_its_own() -> None:
    assert len({begin_request({})[1] for _ in range(1_000)}) == 1_000
    before = begin_request({})[1].partition("-")[0]
    assert in_a_child(lambda: os._exit(begin_request({})[1].startswith(before))) == 0
