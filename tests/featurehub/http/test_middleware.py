"""Middleware: pages have Django's protections, which the API does without, as it has no cookies."""

import pytest
from django.core.management import call_command
from django.test import Client, override_settings

from tests.api_client import ApiClient
from tests.at_once import in_a_process

ASK_FOR_HSTS = """
from featurehub.http.handler import security_headers
print(dict(security_headers())["Strict-Transport-Security"])
"""


def test_pages_can_not_be_framed_and_forms_need_their_token(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.get("/admin/login/").headers["X-Frame-Options"] == "DENY"
    assert client.post("/admin/login/", {"username": "a", "password": "b"}).status_code == 403


def test_the_api_sets_no_cookie_and_needs_no_token(api: ApiClient) -> None:
    api.handler.enforce_csrf_checks = True
    answer = api.post("/api/v1/features/compute/", {"events": []})
    assert (answer.status_code, len(answer.cookies)) == (200, 0)


def test_nothing_stands_against_a_deployment_with_production_settings(
    db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with override_settings(
        SECRET_KEY="".join(map(chr, range(40, 120))),
        SECURE_SSL_REDIRECT=True,
        SECURE_HSTS_SECONDS=31_536_000,
        SESSION_COOKIE_SECURE=True,
        CSRF_COOKIE_SECURE=True,
    ):
        call_command("check", deploy=True, fail_level="WARNING")
    assert "no issues" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("hsts", "header"),
    [
        ("", "max-age=31536000"),
        ("host", "max-age=31536000"),
        ("subdomains", "max-age=31536000; includeSubDomains"),
        ("preload", "max-age=31536000; includeSubDomains; preload"),
    ],
)
def test_other_hosts_are_under_https_only_where_that_was_asked_for(hsts: str, header: str) -> None:
    done = in_a_process(ASK_FOR_HSTS, FEATUREHUB_HTTPS="1", FEATUREHUB_HSTS=hsts)
    assert done.stdout.strip().splitlines()[-1] == header, done.stderr
