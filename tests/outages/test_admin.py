"""The admin while PostgreSQL is frozen or dead: a page that says so, and when to try again."""

import secrets
from collections.abc import Iterator

import httpx
import pytest

from tests.outages.conftest import Site, killed, wait_until
from tests.signals import frozen

pytestmark = pytest.mark.alone

PASSWORD = secrets.token_urlsafe(16)
MAKE_OPERATOR = """
from django.contrib.auth.models import User
User.objects.create_superuser("operator", password="{password}")
"""


@pytest.fixture(scope="module")
def operator(site: Site) -> Iterator[httpx.Client]:
    """Return a browser that is logged in to a web process of the pool `admin`."""
    wait_until(lambda: site.webs["api"].get("/readyz").status == 200)
    site.manage("shell", "--no-imports", "--command", MAKE_OPERATOR.format(password=PASSWORD))
    with site.web("admin") as web, httpx.Client(base_url=f"http://127.0.0.1:{web.port}", trust_env=False) as client:
        assert log_in(client).status_code == 302
        yield client


def log_in(client: httpx.Client) -> httpx.Response:
    client.get("/admin/login/")
    form = {"username": "operator", "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    return client.post("/admin/login/", data=form)


def assert_unavailable(response: httpx.Response, *, tries_again: bool) -> None:
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "PostgreSQL does not answer" in response.text
    assert "unfold/css/styles.css" in response.text
    assert ("http-equiv" in response.text) == tries_again
    assert ("look first whether it was saved" in response.text) != tries_again
    assert "Traceback" not in response.text


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_without_postgresql_pages_and_forms_say_so_and_come_back(
    site: Site, operator: httpx.Client, fault: str
) -> None:
    with killed(site, site.postgres) if fault == "killed" else frozen(site.postgres):
        for path in ("/admin/", "/admin/features/featureversion/", "/admin/login/?next=/admin/"):
            assert_unavailable(operator.get(path, timeout=30), tries_again=True)
        stranger = httpx.Client(base_url=operator.base_url, trust_env=False, timeout=30)
        assert_unavailable(log_in(stranger), tries_again=False)
    wait_until(lambda: operator.get("/admin/").status_code == 200)
    assert log_in(stranger).status_code == 302
    stranger.close()


def test_a_refused_page_is_not_a_traceback_in_the_log(site: Site, operator: httpx.Client) -> None:
    with site.web("admin") as web:
        with killed(site, site.postgres):
            answer = httpx.get(
                f"http://127.0.0.1:{web.port}/admin/", cookies=dict(operator.cookies), trust_env=False, timeout=30
            )
            assert answer.status_code == 503
        log = web.log.read_text()
    assert "Traceback" not in log
    assert "PostgreSQL does not answer" in log
