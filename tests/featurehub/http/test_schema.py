"""GET /api/schema/: generated once per process, in four formats, with an ETag."""

import json

import pytest
from django.test import Client
from django.utils.translation import trans_real
from drf_spectacular.generators import SchemaGenerator

from featurehub.http.schema import generated_schema, schema_as
from tests.at_once import in_a_process

SCHEMA = "/api/schema/"


class CountedGenerator(SchemaGenerator):
    generated = 0

    def get_schema(self, *args: object, **kwargs: object) -> object:
        CountedGenerator.generated += 1
        return super().get_schema(*args, **kwargs)


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> type[CountedGenerator]:
    """Count how often the schema is generated."""
    monkeypatch.setattr("featurehub.http.schema.SchemaGenerator", CountedGenerator)
    CountedGenerator.generated = 0
    for cache in (generated_schema, schema_as):
        cache.cache_clear()
    return CountedGenerator


def test_the_schema_is_generated_once(client: Client, generator: type[CountedGenerator]) -> None:
    answers = [client.get(SCHEMA, {"format": wanted}) for wanted in ("json", "yaml", "json", "yaml")]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert answers[0].content == answers[2].content
    assert json.loads(answers[0].content)["components"]["schemas"]["FeatureValues"]
    assert generator.generated == 1


def test_it_is_given_in_the_format_that_is_asked_for(client: Client) -> None:
    as_yaml = client.get(SCHEMA)
    assert as_yaml.content.startswith(b"openapi: 3.1")
    assert as_yaml.headers["Content-Type"] == "application/vnd.oai.openapi"
    assert as_yaml.headers["Content-Disposition"] == 'inline; filename="FeatureHub.yaml"'
    for wanted in ("application/json", "application/vnd.oai.openapi+json"):
        answer = client.get(SCHEMA, headers={"Accept": wanted})
        assert answer.headers["Content-Type"] == wanted
        assert "/api/v1/events/" in json.loads(answer.content)["paths"]
        assert "/api/schema/" not in json.loads(answer.content)["paths"]
    assert client.get(SCHEMA, headers={"Accept": "text/html"}).status_code == 406


def test_who_has_it_already_is_told_so(client: Client) -> None:
    etag = client.get(SCHEMA).headers["ETag"]
    assert client.get(SCHEMA, headers={"If-None-Match": etag}).status_code == 304
    assert client.get(SCHEMA, headers={"If-None-Match": '"another"'}).status_code == 200
    assert client.get(SCHEMA, {"format": "json"}).headers["ETag"] != etag


def test_a_language_that_nobody_speaks_is_not_kept(client: Client) -> None:
    client.get(SCHEMA)
    known = len(trans_real._translations)
    for number in range(5):
        assert client.get(SCHEMA, {"lang": f"x{number}"}).status_code == 200
    assert len(trans_real._translations) == known


def test_the_page_of_the_api_reads_it(client: Client) -> None:
    page = client.get("/api/docs/")
    assert page.status_code == 200
    # The page's policy allows no script in it: this one is a file that knows where the schema is.
    assert 'src="/api/docs/?script="' in page.content.decode()
    assert SCHEMA in Client().get("/api/docs/", {"script": ""}).content.decode()


FIRST_REQUESTS_AT_ONCE = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from django.test import Client
start = Barrier(8)
def ask(number):
    start.wait()
    return Client(raise_request_exception=False).get("/api/schema/").status_code
with ThreadPoolExecutor(8) as threads:
    print(*threads.map(ask, range(8)))
"""


def test_the_first_requests_of_a_process_may_come_at_once(committed: None) -> None:
    done = in_a_process(FIRST_REQUESTS_AT_ONCE, ALLOWED_HOSTS="testserver")
    assert done.stdout.split() == ["200"] * 8, done.stderr[-2000:]
