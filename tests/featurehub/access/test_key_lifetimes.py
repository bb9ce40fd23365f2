"""API keys end when they say, are replaced by a successor while both are valid, and show when they were last used."""

import re
import time
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from featurehub.access import authentication, uses
from featurehub.access.authentication import clients
from featurehub.access.models import ApiKey, create_api_key, revoke_api_keys, rotate_api_key
from featurehub.lib.errors import ConflictError
from featurehub.lib.snapshot import LOOK_AGAIN_SECONDS
from tests.api_client import ApiClient
from tests.factories import make_customer, url_of
from tests.staff import log_in

pytestmark = pytest.mark.django_db
LIST = "/admin/access/apikey/"


def status_with(key: str) -> int:
    return ApiClient(key=key).get(url_of("c1")).status_code


def in_time(**duration: float) -> datetime:
    return timezone.now() + timedelta(**duration)


def make_key(expires_at: datetime | None = None) -> tuple[ApiKey, str]:
    clients.forget()
    return create_api_key("shop", scopes=["read"], requests_per_minute=600, expires_at=expires_at)


# --- Expiry


def set_clock_forward(monkeypatch: pytest.MonkeyPatch, *, seconds: float) -> None:
    """Let the authentication, which asks its clock for nothing else, take keys for so many seconds older."""
    monkeypatch.setattr(authentication, "time", SimpleNamespace(time=lambda: time.time() + seconds))


def test_a_key_is_refused_from_its_end_on_without_a_query(
    django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_customer("c1", page_view=1)
    _, key = make_key(in_time(hours=1))
    assert status_with(key) == 200
    set_clock_forward(monkeypatch, seconds=3_500)
    with django_assert_num_queries(0):
        assert status_with(key) == 200
    set_clock_forward(monkeypatch, seconds=3_601)
    answer = ApiClient(key=key).get(url_of("c1"))
    assert (answer.status_code, "has expired" in answer.json()["errors"][0]["detail"]) == (401, True)


def test_an_end_that_is_put_off_elsewhere_holds_as_soon_as_the_copy_is_renewed() -> None:
    made, key = make_key(in_time(seconds=-1))
    assert status_with(key) == 401
    ApiKey.objects.filter(pk=made.pk).update(expires_at=in_time(days=1))
    time.sleep(2 * LOOK_AGAIN_SECONDS)
    assert status_with(key) == 200


def test_the_admin_gives_a_key_its_end_and_changes_it() -> None:
    operator = log_in("operator")
    page = f"{LIST}add/"
    operator.post(page, {"name": "shop", "scopes": ["read"], "expires_at_0": "2100-01-31", "expires_at_1": "12:00:00"})
    made = ApiKey.objects.get()
    assert made.expires_at is not None
    assert made.expires_at.year == 2100
    assert operator.post(f"{LIST}{made.pk}/change/", {"expires_at_0": "", "expires_at_1": ""}).status_code == 302
    made.refresh_from_db()
    assert made.expires_at is None
    past = {"expires_at_0": "2020-01-31", "expires_at_1": "12:00:00"}
    refused = operator.post(f"{LIST}{made.pk}/change/", past)
    assert "It must be in the future" in refused.content.decode()


def test_the_list_tells_expired_keys_from_valid_and_revoked_ones() -> None:
    operator = log_in("operator")
    expired, valid = make_key(in_time(days=-1))[0], make_key(in_time(days=1))[0]
    assert shown(operator, "expired") == {expired.prefix}
    assert shown(operator, "valid") == {valid.prefix}
    assert shown(operator, "revoked") == set()


def shown(client: Client, state: str) -> set[str]:
    return set(re.findall(r"<code>(fh_[^<]*)…</code>", client.get(f"{LIST}?state={state}").content.decode()))


@pytest.mark.parametrize(("days", "is_fine"), [("1", True), ("0", False), ("tomorrow", False)])
def test_the_command_makes_a_key_that_expires(days: str, is_fine: bool, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["create_api_key", "shop", "--scope", "read", "--expires-in-days", days]
    if not is_fine:
        with pytest.raises(CommandError, match="must be a whole number from 1 to 3650"):
            call_command(*arguments)
        return
    call_command(*arguments)
    assert status_with(capsys.readouterr().out.strip()) == 200
    [made] = ApiKey.objects.all()
    assert made.expires_at is not None
    assert timedelta(hours=23) < made.expires_at - timezone.now() <= timedelta(days=1)


# --- Rotation


def test_old_and_new_are_valid_until_the_old_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    old, key = make_key()
    now = timezone.now()
    made, successor = rotate_api_key(old.pk, old_ends_at=now + timedelta(hours=1), expires_at=None, now=now)
    clients.forget()
    assert [status_with(key), status_with(successor)] == [200, 200]
    assert (made.name, made.scopes, made.requests_per_minute, made.replaces) == ("shop", ["read"], 600, old)
    set_clock_forward(monkeypatch, seconds=3_601)
    assert [status_with(key), status_with(successor)] == [401, 200]


def test_a_rotation_does_not_put_off_an_end() -> None:
    old, _ = make_key(in_time(days=1))
    now = timezone.now()
    made, _ = rotate_api_key(old.pk, old_ends_at=now + timedelta(days=7), expires_at=now + timedelta(days=90), now=now)
    assert ApiKey.objects.get(pk=old.pk).expires_at == old.expires_at
    assert made.expires_at == now + timedelta(days=90)


def test_only_a_valid_key_without_a_successor_is_rotated() -> None:
    now = timezone.now()
    expired, _ = make_key(in_time(seconds=-1))
    with pytest.raises(ConflictError, match="is not valid any more"):
        rotate_api_key(expired.pk, old_ends_at=now, expires_at=None, now=now)
    old, _ = make_key()
    rotate_api_key(old.pk, old_ends_at=in_time(days=1), expires_at=None, now=now)
    with pytest.raises(ConflictError, match="was rotated already"):
        rotate_api_key(old.pk, old_ends_at=now, expires_at=None, now=now)


def test_a_refused_rotation_says_what_to_do_where_the_text_of_the_successor_is_lost() -> None:
    old, _ = make_key()
    dates: dict[str, Any] = {"old_ends_at": in_time(days=1), "expires_at": None, "now": timezone.now()}
    lost, _ = rotate_api_key(old.pk, **dates)
    with pytest.raises(CommandError, match=rf"successor is shop \({lost.prefix}….* rotate shop \({lost.prefix}…"):
        call_command("rotate_api_key", old.prefix)
    rotate_api_key(lost.pk, **dates)
    revoke_api_keys([lost.pk])
    with pytest.raises(ConflictError, match="text of that, make a new key"):
        rotate_api_key(old.pk, **dates)


def test_the_admin_shows_the_successor_once_and_logs_both() -> None:
    operator = log_in("operator")
    old, key = make_key()
    page = f"{LIST}{old.pk}/rotate/"
    assert page in operator.get(f"{LIST}{old.pk}/change/").content.decode()
    assert "Both" in operator.get(page).content.decode() or "both are valid" in operator.get(page).content.decode()
    assert ApiKey.objects.count() == 1
    answer = operator.post(page, {"old_ends": "24", "expires_in_days": "90"}, follow=True).content.decode()
    [successor] = re.findall(r'<code class="hub-secret">(.*?)</code>', answer)
    assert [status_with(key), status_with(successor)] == [200, 200]
    old.refresh_from_db()
    assert old.expires_at is not None
    assert timedelta(hours=23) < old.expires_at - timezone.now() <= timedelta(days=1)
    assert successor not in operator.get(LIST).content.decode()
    assert "Rotated: shop" in operator.get(f"{LIST}{old.pk}/history/").content.decode()
    made = ApiKey.objects.get(replaces=old)
    assert "successor of shop" in operator.get(f"{LIST}{made.pk}/history/").content.decode()
    again = operator.post(page, {"old_ends": "24"}, follow=True).content.decode()
    assert "was rotated already" in again


def test_a_key_that_does_not_exist_is_not_rotated() -> None:
    assert log_in("operator").post(f"{LIST}9999/rotate/", {"old_ends": "0"}).status_code == 404


@pytest.mark.parametrize("role", ["viewer", "marketer"])
def test_other_roles_do_not_rotate_keys(role: str) -> None:
    old, _ = make_key()
    client = log_in(role)
    assert client.get(f"{LIST}{old.pk}/rotate/").status_code == 403
    assert client.post(f"{LIST}{old.pk}/rotate/", {"old_ends": "0"}).status_code == 403
    assert ApiKey.objects.count() == 1


def test_the_command_rotates_the_key_that_begins_so(capsys: pytest.CaptureFixture[str]) -> None:
    old, key = make_key()
    call_command("rotate_api_key", old.prefix, "--old-ends-in-hours", "0", "--expires-in-days", "90")
    successor = capsys.readouterr().out.strip()
    clients.forget()
    assert [status_with(key), status_with(successor)] == [401, 200]
    for beginning, problem in ((old.prefix, "not valid any more"), ("fh_unknown", "There is not one key")):
        with pytest.raises(CommandError, match=problem):
            call_command("rotate_api_key", beginning)


# --- Last use


def test_the_last_use_is_noted_once_in_five_minutes(
    django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_customer("c1", page_view=1)
    made, key = make_key()
    assert status_with(key) == 200
    first = ApiKey.objects.get(pk=made.pk).last_used_at
    assert first is not None
    with django_assert_num_queries(0):
        assert status_with(key) == 200
    monkeypatch.setitem(uses._key_due, made.pk, 0.0)
    assert status_with(key) == 200
    assert uses._key_due[made.pk] > time.monotonic() + uses.SECONDS_BETWEEN_KEY_NOTES - 60


def test_a_key_that_nobody_used_shows_none() -> None:
    made, _ = make_key()
    assert ApiKey.objects.get(pk=made.pk).last_used_at is None
