"""/healthz, /readyz and /metrics: for load balancers and Prometheus, whatever the host; metrics by setting or key."""

import os
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings

from featurehub.access.authentication import CHALLENGE
from tests.at_once import in_a_process
from tests.away import nobody_at, postgres_away, redis_away
from tests.factories import make_client, make_customer, url_of

PARTS = ("database", "redis", "broker", "migrations", "tombstones")
ASK = """
from django.test import Client
answer = Client().get("/readyz")
print(answer.status_code, answer.content.decode())
"""


def ready(client: Client) -> tuple[int, dict[str, str]]:
    answer = client.get("/readyz")
    assert answer.has_header("Retry-After") == (answer.status_code == 503)
    checks: dict[str, str] = answer.json()["checks"]
    assert set(checks) == set(PARTS)
    return answer.status_code, checks


def test_it_is_alive_without_any_other_part(committed: None, client: Client) -> None:
    with postgres_away(), redis_away():
        assert client.get("/healthz").json() == {"status": "ok"}


def test_it_is_ready_where_every_part_is_in_order(db: None, client: Client) -> None:
    assert ready(client) == (200, dict.fromkeys(PARTS, "ok"))


def test_it_is_not_ready_without_postgresql(committed: None, client: Client) -> None:
    with postgres_away():
        status, checks = ready(client)
    assert status == 503
    assert checks["database"].startswith("failed")
    assert checks["redis"] == "ok"


def test_it_is_not_ready_without_redis(db: None, client: Client) -> None:
    with redis_away():
        status, checks = ready(client)
    assert status == 503
    assert checks["redis"].startswith("failed")
    assert checks["database"] == "ok"


def test_it_is_not_ready_without_a_broker(committed: None) -> None:
    done = in_a_process(ASK, CELERY_BROKER_URL=nobody_at(os.environ["REDIS_URL"]), ALLOWED_HOSTS="testserver")
    status, _, body = done.stdout.strip().splitlines()[-1].partition(" ")
    assert status == "503", done.stderr
    assert '"broker": "failed' in body


def test_it_is_not_ready_with_a_migration_that_is_not_applied(db: None, client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("delete from django_migrations where id = (select max(id) from django_migrations)")
    status, checks = ready(client)
    assert status == 503
    assert "manage.py migrate" in checks["migrations"]


def test_what_failed_is_said_without_a_word_of_the_inside(committed: None, client: Client) -> None:
    with postgres_away(), redis_away():
        answer = client.get("/readyz").content.decode()
    assert "127.0.0.1" not in answer
    assert "password" not in answer


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@pytest.mark.parametrize("host", ["10.1.2.3:8000", "[fd00::1]:8000", "other.example", "bad host"])
def test_a_probe_by_the_address_of_a_pod_is_answered_like_any_other(
    db: None, client: Client, path: str, host: str
) -> None:
    with override_settings(ALLOWED_HOSTS=["features.example.com"], SECURE_SSL_REDIRECT=True):
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, answer.headers["X-Content-Type-Options"]) == (200, "nosniff")
        assert client.get("/admin/login/", headers={"Host": host}, secure=True).status_code == 400


def test_a_probe_by_the_address_of_a_pod_learns_that_postgresql_is_away(committed: None, client: Client) -> None:
    with override_settings(ALLOWED_HOSTS=["features.example.com"]), postgres_away():
        assert client.get("/readyz", headers={"Host": "10.1.2.3"}).status_code == 503


def test_metrics_that_are_not_public_need_a_key_with_their_scope(db: None, client: Client) -> None:
    with override_settings(PUBLIC_METRICS=False):
        refused = client.get("/metrics")
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, CHALLENGE)
        assert b"featurehub_" not in refused.content
        assert make_client("read", "write", "ingest").get("/metrics").status_code == 403
        answer = make_client("metrics").get("/metrics")
        assert (answer.status_code, b"featurehub_due_marks" in answer.content) == (200, True)
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


def test_a_key_for_the_metrics_reads_no_customer(db: None) -> None:
    assert make_client("metrics").get(url_of("c1")).status_code == 403


def test_metrics_take_get_only(db: None, client: Client) -> None:
    for is_public in (True, False):
        with override_settings(PUBLIC_METRICS=is_public):
            assert client.post("/metrics").status_code == 405


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_load_balancer_may_ask_with_head(db: None, client: Client, path: str) -> None:
    assert client.head(path).status_code == 200


def test_metrics_are_in_the_form_of_prometheus(db: None, client: Client) -> None:
    make_customer("c1", page_view=1)
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    assert b"\n# TYPE " in answer.content


def test_metrics_are_there_without_the_other_parts(committed: None, client: Client) -> None:
    with postgres_away(), redis_away():
        assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/"])
def test_the_schema_and_its_page_are_there_for_everybody(db: None, client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


def test_the_schema_names_every_endpoint(db: None, client: Client) -> None:
    paths: dict[str, Any] = client.get("/api/schema/", {"format": "json"}).json()["paths"]
    assert {(path, method) for path, methods in paths.items() for method in methods if path.startswith("/api/v1/")} >= {
        ("/api/v1/events/", "post"),
        ("/api/v1/customers/{customer_id}/", "delete"),
        ("/api/v1/customers/{customer_id}/features/", "get"),
        ("/api/v1/customers/{customer_id}/features/", "patch"),
        ("/api/v1/customers/{customer_id}/features/{name}/history/", "get"),
        ("/api/v1/customers/{customer_id}/vector/", "get"),
        ("/api/v1/customers/{customer_id}/explanation/", "get"),
        ("/api/v1/features/batch/", "post"),
        ("/api/v1/features/as-of/", "post"),
        ("/api/v1/features/compute/", "post"),
        ("/api/v1/definitions/", "get"),
        ("/api/v1/weights/", "get"),
        ("/api/v1/feature-sets/", "get"),
        ("/api/v1/feature-sets/", "post"),
        ("/api/v1/feature-sets/{feature_set}/", "get"),
    }
