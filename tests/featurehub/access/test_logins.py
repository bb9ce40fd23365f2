"""Limits of failed logins: what costs no hash, who is locked out, for how long, and who lifts it."""

import logging
import re
from datetime import timedelta
from typing import Any

import pytest
import pytest_django
from axes.models import AccessAttempt, AccessFailureLog
from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.db.models import F
from django.http import HttpResponse
from django.test import Client, RequestFactory

from featurehub.access import logins
from featurehub.access.logins import FAILURES_OF_AN_ADDRESS, NO_ADDRESS, login_address
from tests.staff import log_in

pytestmark = pytest.mark.django_db
RIGHT, WRONG = "right-password", "guess"
OFFICE, HOME = "192.0.2.1", "198.51.100.7"
LIMIT = 5


class CountingHasher(MD5PasswordHasher):
    """A quick hasher that counts how often a password was hashed."""

    hashed = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.hashed += 1
        return super().encode(password, salt)


@pytest.fixture(autouse=True)
def users(settings: pytest_django.Settings) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    for name in ("mary", "anna"):
        User.objects.create_user(name, password=RIGHT, is_staff=True)
    CountingHasher.hashed = 0


def attempt(username: str = "mary", password: str = WRONG, *, address: str = OFFICE, **headers: Any) -> HttpResponse:
    data = {"username": username, "password": password, "next": "/admin/"}
    return Client(REMOTE_ADDR=address, **headers).post("/admin/login/", data)


def attempts(number: int, username: str = "mary", **more: Any) -> list[int]:
    return [attempt(username, **more).status_code for _ in range(number)]


def let_pass(duration: timedelta) -> None:
    """Make the counted failures older, as if the time had passed."""
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - duration)


def may_log_in(username: str = "mary", **more: Any) -> bool:
    return attempt(username, RIGHT, **more).status_code == 302


def test_who_logs_in_at_the_login_page_itself_comes_to_the_admin() -> None:
    answer = Client().post("/admin/login/", {"username": "mary", "password": RIGHT})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


def test_after_five_failures_no_password_is_hashed() -> None:
    assert attempts(LIMIT) == [200] * (LIMIT - 1) + [429]
    hashed = CountingHasher.hashed
    assert hashed == LIMIT
    assert attempts(3) == [429] * 3
    assert attempt(password=RIGHT).status_code == 429
    assert CountingHasher.hashed == hashed


def test_the_owner_of_a_guessed_name_logs_in_from_elsewhere() -> None:
    attempts(LIMIT, address=HOME)
    assert not may_log_in(address=HOME)
    assert may_log_in(address=OFFICE)


def test_one_who_forgot_a_password_does_not_lock_out_the_team_behind_the_same_address() -> None:
    attempts(FAILURES_OF_AN_ADDRESS + LIMIT)
    assert not may_log_in("mary")
    assert may_log_in("anna")


def test_names_that_nobody_has_cost_a_limited_number_of_hashes() -> None:
    statuses = [attempt(f"nobody{number}").status_code for number in range(FAILURES_OF_AN_ADDRESS + 20)]
    assert statuses == [200] * (FAILURES_OF_AN_ADDRESS - 1) + [429] * 21
    assert CountingHasher.hashed == FAILURES_OF_AN_ADDRESS
    assert not may_log_in()
    assert may_log_in(address=HOME)


def test_other_programs_and_other_addresses_of_one_machine_are_no_way_around() -> None:
    for number in range(LIMIT):
        attempt(address=f"2001:db8:1:2::{number}", HTTP_USER_AGENT=f"program {number}")
    assert attempt(password=RIGHT, address="2001:db8:1:2:ffff::1").status_code == 429
    assert may_log_in(address="2001:db8:1:3::1")


def test_a_header_with_another_address_is_no_way_around() -> None:
    for number in range(LIMIT):
        attempt(HTTP_X_FORWARDED_FOR=f"203.0.113.{number}")
    assert attempt(password=RIGHT, HTTP_X_FORWARDED_FOR="203.0.113.99").status_code == 429


def test_an_own_account_does_not_forgive_guesses_at_that_of_others() -> None:
    for _ in range(2):
        attempts(LIMIT - 1, "mary")
        assert may_log_in("anna")
    assert not may_log_in("mary")


def test_a_success_forgets_the_mistakes_before_it() -> None:
    for _ in range(3):
        attempts(LIMIT - 1)
        assert may_log_in()


def test_the_right_password_works_after_ten_minutes() -> None:
    attempts(LIMIT)
    let_pass(timedelta(minutes=9, seconds=50))
    assert not may_log_in()
    let_pass(timedelta(seconds=11))
    assert may_log_in()


def test_trying_while_locked_out_does_not_make_it_longer() -> None:
    attempts(LIMIT)
    let_pass(timedelta(minutes=6))
    attempts(3)
    let_pass(timedelta(minutes=5))
    assert may_log_in()


def test_the_page_says_how_long_to_wait() -> None:
    attempts(LIMIT)
    let_pass(timedelta(minutes=3, seconds=30))
    page = attempt(password=RIGHT)
    assert page.status_code == 429
    assert 380 < int(page.headers["Retry-After"]) <= 390
    text = page.content.decode()
    assert "7 minutes" in text
    assert "Too many failed attempts" in text
    assert "FeatureHub" in text
    assert 'href="/admin/login/"' in text
    assert RIGHT not in text


def test_who_is_logged_in_goes_on_while_their_name_is_locked() -> None:
    client = Client(REMOTE_ADDR=OFFICE)
    client.force_login(User.objects.get(username="mary"))
    attempts(LIMIT)
    assert client.get("/admin/").status_code == 200


def test_failures_are_logged_without_what_may_be_a_password(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        attempts(LIMIT)
        attempt(password=RIGHT)
        attempt("my-secret-typed-in-the-wrong-field", "guess")
    assert "'mary' from 192.0.2.1" in caplog.text
    assert "Locking out 'mary' from 192.0.2.1" in caplog.text
    assert re.search(r"Logins of 'mary' from 192.0.2.1 are refused for \d+ seconds", caplog.text)
    assert "an unknown user from 192.0.2.1" in caplog.text
    assert "guess" not in caplog.text
    assert RIGHT not in caplog.text
    assert "my-secret" not in caplog.text


def test_the_database_holds_no_password() -> None:
    attempt(password="guessed-password")
    rows = [*AccessAttempt.objects.values(), *AccessFailureLog.objects.values()]
    assert rows
    assert "guessed-password" not in str(rows)
    assert "csrfmiddlewaretoken=" not in str(rows).replace("csrfmiddlewaretoken=*", "")


def test_the_operator_sees_failures_and_locks() -> None:
    attempts(LIMIT)
    attempt("my-secret-typed-in-the-wrong-field", address=HOME)
    operator = log_in("operator")
    failures = operator.get("/admin/axes/accessfailurelog/").content.decode()
    assert "failed, then locked" in failures
    locks = operator.get("/admin/axes/accessattempt/").content.decode()
    for page in (failures, locks):
        assert "mary" in page
        assert OFFICE in page
        assert HOME in page
        assert "my-secret" not in page
    assert "Locked" in locks
    for model in ("accessattempt", "accessfailurelog"):
        row = (AccessAttempt if model == "accessattempt" else AccessFailureLog).objects.first()
        assert row is not None
        page = operator.get(f"/admin/axes/{model}/{row.pk}/change/").content.decode()
        assert "my-secret" not in page
    assert operator.get("/admin/axes/accessfailurelog/?q=192.0.2").content.decode().count(OFFICE) >= LIMIT


def test_an_operator_lifts_a_lock_and_that_is_in_the_log() -> None:
    attempts(LIMIT)
    [lock] = AccessAttempt.objects.all()
    page = log_in("operator").post(
        "/admin/axes/accessattempt/", {"action": "lift", "_selected_action": [lock.pk]}, follow=True
    )
    assert f"Logins from {OFFICE} are possible again" in page.content.decode()
    assert may_log_in()
    assert OFFICE in LogEntry.objects.get().change_message


@pytest.mark.parametrize("role", ["viewer", "marketer"])
def test_only_the_operator_sees_and_lifts(role: str) -> None:
    attempts(LIMIT)
    [lock] = AccessAttempt.objects.all()
    client = log_in(role)
    assert client.get("/admin/axes/accessattempt/").status_code == 403
    assert client.get("/admin/axes/accessfailurelog/").status_code == 403
    client.post("/admin/axes/accessattempt/", {"action": "lift", "_selected_action": [lock.pk]})
    assert not may_log_in()


def test_the_log_of_failures_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "FAILURES_KEPT", 3)
    for number in range(5):
        attempt(f"nobody{number}")
    assert [row.username for row in AccessFailureLog.objects.order_by("pk")] == ["nobody2", "nobody3", "nobody4"]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("", NO_ADDRESS),
        ("unix:", NO_ADDRESS),
    ],
)
def test_failures_are_counted_for_an_address_that_one_machine_has(address: str, counted: str) -> None:
    assert login_address(RequestFactory().post("/admin/login/", REMOTE_ADDR=address)) == counted
