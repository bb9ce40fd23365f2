"""The banner on every page of the admin while the refresh is behind."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from features.materialization import refresh
from features.models import Customer, Renewal
from features.monitoring.overview import renewal_age, seconds_behind
from tests.factories import make_customer
from tests.staff import log_in

pytestmark = pytest.mark.django_db
BANNER = "The refresh has fallen behind"
PAGES = (
    "/admin/",
    "/admin/features/customer/",
    "/admin/features/customer/c1/change/",
    "/admin/features/weightset/",
    "/admin/features/run/",
    "/admin/events/",
    "/admin/access/apikey/",
    "/admin/django_celery_beat/periodictask/",
    "/admin/password_change/",
)


@pytest.fixture
def viewer() -> Client:
    return log_in("viewer")


def fall_behind(**since: float) -> None:
    """Make the last renewal of all buckets that long ago, and forget the age in memory."""
    Renewal.objects.update(renewed_at=Now() - timedelta(**since))
    renewal_age.forget()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_says_that_the_refresh_has_fallen_behind(viewer: Client, path: str) -> None:
    make_customer("c1", login=1)
    fall_behind(hours=1, minutes=20)
    page = viewer.get(path).content.decode()
    assert page.count(BANNER) == 1
    assert "were last refreshed 1 h 20 min ago" in page
    assert "the cache keeps values for 1 h 0 min" in page
    assert "/admin/features/customer/?activity=behind" in page


def test_it_goes_when_the_refresh_has_caught_up(viewer: Client) -> None:
    make_customer("c1", login=1)
    fall_behind(hours=2)
    assert BANNER in viewer.get("/admin/").content.decode()
    Renewal.objects.update(due_at=Now())
    while refresh.refresh_active():
        pass
    renewal_age.forget()
    assert BANNER not in viewer.get("/admin/").content.decode()


def test_within_the_ttl_and_without_active_customers_there_is_none(viewer: Client, settings: Settings) -> None:
    fall_behind(hours=2)
    assert BANNER not in viewer.get("/admin/").content.decode()
    make_customer("c1", login=1)
    fall_behind(minutes=59)
    assert BANNER not in viewer.get("/admin/").content.decode()
    settings.FEATURE_TTL = 1800
    assert BANNER in viewer.get("/admin/").content.decode()


def test_a_customer_whose_event_left_the_window_unnoticed_counts_too() -> None:
    make_customer("c1", login=1)
    fall_behind(seconds=0)
    assert seconds_behind() is None
    Customer.objects.update(recompute_at=Now() - timedelta(hours=3))
    renewal_age.forget()
    assert seconds_behind() == pytest.approx(3 * 3600, abs=60)


def test_who_may_not_see_customers_is_told_nothing() -> None:
    make_customer("c1", login=1)
    fall_behind(hours=2)
    assert BANNER not in log_in().get("/admin/").content.decode()
    assert BANNER not in Client().get("/admin/login/").content.decode()


def test_it_costs_a_page_no_query(viewer: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    make_customer("c1", login=1)
    fall_behind(hours=2)
    assert seconds_behind() is not None
    with django_assert_num_queries(0):
        assert seconds_behind() is not None
