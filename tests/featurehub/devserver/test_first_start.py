"""The first start: `bootstrap` sets up what `make run` needs, keeps it over restarts, and renews what was removed."""

import re
from io import StringIO
from pathlib import Path
from typing import NoReturn

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db.models.functions import Now
from pytest_django import Settings

from events.models import Event
from featurehub.access.models import ApiKey, Scope
from featurehub.devserver import first_start
from featurehub.devserver.first_start import ADMIN_PASSWORD_FILE, DEMO_KEY_FILE, ensure_admin, ensure_demo_key
from featurehub.devserver.secret_files import write_private
from tests.api_client import ApiClient
from tests.factories import make_customer, make_event, post_events

pytestmark = pytest.mark.django_db


def admin_accepts(password: str) -> bool:
    return User.objects.get(username="admin").check_password(password)


def is_private(path: Path) -> bool:
    return path.stat().st_mode & 0o777 == 0o600


def test_the_admin_is_made_with_a_random_password_that_is_shown_again(tmp_path: Path) -> None:
    password = ensure_admin(tmp_path, password=None)
    assert password is not None
    assert len(password) >= 12
    assert admin_accepts(password)
    assert User.objects.get(username="admin").is_superuser
    assert is_private(tmp_path / ADMIN_PASSWORD_FILE)
    assert ensure_admin(tmp_path, password=None) == password


def test_the_admin_has_the_password_of_the_environment(tmp_path: Path) -> None:
    assert ensure_admin(tmp_path, password="from outside") == "from outside"
    assert admin_accepts("from outside")
    assert ensure_admin(tmp_path, password="another one") == "another one"
    assert admin_accepts("another one")
    assert not admin_accepts("from outside")


def test_a_password_that_was_given_once_is_not_shown_at_a_later_start(tmp_path: Path) -> None:
    ensure_admin(tmp_path, password="from outside")
    assert ensure_admin(tmp_path, password=None) is None
    assert "from outside" not in (tmp_path / ADMIN_PASSWORD_FILE).read_text()
    assert admin_accepts("from outside")


def test_a_password_that_the_admin_chose_stays(tmp_path: Path) -> None:
    ensure_admin(tmp_path, password="from outside")
    admin = User.objects.get(username="admin")
    admin.set_password("my own")
    admin.save()
    assert ensure_admin(tmp_path, password="from outside") is None
    assert ensure_admin(tmp_path, password=None) is None
    assert admin_accepts("my own")


@pytest.mark.parametrize("given", ["another one", None])
@pytest.mark.parametrize("is_written", [True, False])
def test_a_start_that_dies_at_the_password_file_is_made_up_for_by_the_next_one(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, given: str | None, is_written: bool
) -> None:
    """It dies as soon as the file is written, or before that."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    if given is not None:
        ensure_admin(tmp_path, password="from outside")

    def die(path: Path, text: str) -> NoReturn:
        if is_written:
            write_private(path, text)
        raise KeyboardInterrupt

    monkeypatch.setattr(first_start, "write_private", die)
    with pytest.raises(KeyboardInterrupt):
        ensure_admin(tmp_path, password=given)
    monkeypatch.setattr(first_start, "write_private", write_private)
    password = ensure_admin(tmp_path, password=given)
    assert password is not None
    assert admin_accepts(password)


def test_an_admin_whose_password_file_is_gone_keeps_the_password(tmp_path: Path) -> None:
    password = ensure_admin(tmp_path, password=None)
    (tmp_path / ADMIN_PASSWORD_FILE).unlink()
    assert password is not None
    assert ensure_admin(tmp_path, password=None) is None
    assert admin_accepts(password)


def test_the_demo_key_has_every_scope_and_is_made_once(tmp_path: Path) -> None:
    key = ensure_demo_key(tmp_path)
    assert is_private(tmp_path / DEMO_KEY_FILE)
    assert ensure_demo_key(tmp_path) == key
    assert set(ApiKey.objects.get().scopes) == set(Scope.values)
    assert post_events(ApiClient(key=key), make_event()).status_code == 201


def test_a_revoked_demo_key_is_replaced(tmp_path: Path) -> None:
    key = ensure_demo_key(tmp_path)
    ApiKey.objects.update(revoked_at=Now())
    assert ensure_demo_key(tmp_path) != key
    assert ApiKey.objects.filter(revoked_at__isnull=True).count() == 1


def test_a_demo_key_of_another_database_is_replaced(tmp_path: Path) -> None:
    key = ensure_demo_key(tmp_path)
    ApiKey.objects.all().delete()
    assert ensure_demo_key(tmp_path) != key


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("hunter2", "too short"),
        ("password123", "too common"),
        ("84629571036", "entirely numeric"),
        ("admin-1", "username"),
    ],
)
def test_a_weak_password_is_refused_in_a_sentence_that_does_not_repeat_it(
    tmp_path: Path, password: str, reason: str
) -> None:
    ensure_admin(tmp_path, password="from outside")
    with pytest.raises(ImproperlyConfigured, match=f"^FEATUREHUB_ADMIN_PASSWORD is refused, .*{reason}") as refused:
        ensure_admin(tmp_path, password=password)
    assert password not in str(refused.value)
    assert admin_accepts("from outside")


@pytest.fixture
def local_dir(settings: Settings, tmp_path: Path) -> Path:
    settings.LOCAL_DIR = tmp_path
    settings.ADMIN_PASSWORD = None
    settings.PORT = 8123
    return tmp_path


def bootstrap() -> str:
    out = StringIO()
    call_command("bootstrap", stdout=out)
    return out.getvalue()


def test_bootstrap_says_how_to_log_in_and_what_to_try(local_dir: Path) -> None:
    make_customer("mine", page_view=1)
    first = bootstrap()
    password, key = (re.search(rf"{label} +(\S+)", first) for label in ("password", "API key"))
    assert password is not None
    assert admin_accepts(password[1])
    assert key is not None
    assert f"curl -H 'Authorization: Api-Key {key[1]}' 'http://127.0.0.1:8123/api/v1/customers/" in first
    assert "http://127.0.0.1:8123/admin/" in first
    assert bootstrap() == first


def test_bootstrap_does_not_print_the_password_of_the_environment(local_dir: Path, settings: Settings) -> None:
    settings.ADMIN_PASSWORD = "from outside"
    make_customer("mine", page_view=1)
    assert "from outside" not in bootstrap()


def test_bootstrap_loads_no_demo_data_among_events_of_ones_own(local_dir: Path) -> None:
    make_customer("mine", page_view=1)
    bootstrap()
    assert Event.objects.count() == 1


def test_bootstrap_does_not_load_the_demo_data_after_the_first_start(local_dir: Path) -> None:
    make_customer("mine", page_view=1)
    bootstrap()
    Event.objects.all().delete()
    bootstrap()
    assert not Event.objects.exists()


def test_bootstrap_refuses_a_weak_password_before_it_loads_anything(local_dir: Path, settings: Settings) -> None:
    settings.ADMIN_PASSWORD = "secret"
    with pytest.raises(ImproperlyConfigured, match="FEATUREHUB_ADMIN_PASSWORD"):
        bootstrap()
    assert not User.objects.exists()
    assert not Event.objects.exists()
