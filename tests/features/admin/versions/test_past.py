"""The past of a version in the admin: offered with its cost, and followed on the version's page."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.test import Client

from features.materialization import backfill, recompute
from features.models import ComputedRange, FeatureVersion, Run
from tests.factories import ago, forget_registry, make_customer, make_event, make_version
from tests.staff import log_in, take_step, text_of

pytestmark = pytest.mark.django_db
VERSIONS = "/admin/features/featureversion/"


@pytest.fixture
def operator() -> Client:
    return log_in("operator")


def page_of(client: Client, version: FeatureVersion) -> str:
    return text_of(client.get(f"{VERSIONS}{version.pk}/change/"))


def today() -> date:
    return datetime.now(UTC).date()


@pytest.fixture
def three_days() -> None:
    """Make a customer of whom 1.0 has values since three days ago."""
    make_customer("c1", events=[make_event(event_type="login", timestamp=ago(days=4))])
    recompute.recompute_customers(customer_ids=["c1"], as_of=ago(days=3))


def work() -> None:
    """Do what workers do with the runs of versions."""
    forget_registry()
    for run in Run.objects.filter(state=Run.State.RUNNING, kind=Run.Kind.RECOMPUTE):
        while recompute.load_chunk(run):
            pass
    forget_registry()


def test_a_past_is_offered_with_its_cost_computed_and_followed(operator: Client) -> None:
    recompute.recompute_customers(customer_ids=["c1"], as_of=ago(days=3))
    make_customer("c1", events=[make_event(event_type="login", timestamp=ago(days=4))])
    since = ago(days=3).date()
    version = make_version("behavioral")
    address = f"{VERSIONS}{version.pk}/step/shadow/"
    form = text_of(operator.get(address))
    assert f'name="backfill_since" value="{since}"' in form
    assert "The proposed days cost up to 1 customers × 4 days, at most 4 rows of history" in form
    page = text_of(take_step(operator, address, follow=True, reason="Try", backfill_since=str(since)))
    assert "It can go live when that is done" in page
    work()
    page = page_of(operator, version)
    assert "Its past is being computed." in page
    assert "0 of 4" in page
    assert "/step/backfill/" not in page
    run = Run.objects.get(kind=Run.Kind.BACKFILL)
    assert backfill.backfill_next(run)
    assert f"Its past is being computed, now {since:%-d %b %Y}." in page_of(operator, version)
    while backfill.backfill_next(run):
        pass
    page = page_of(operator, version)
    assert "Its past is being computed" not in page
    assert f"Has values from</dt><dd>{since:%-d %b %Y}, 00:00 UTC" in page


def test_a_version_without_a_past_offers_to_compute_it_later(operator: Client, three_days: None) -> None:
    version = make_version("behavioral")
    take_step(operator, f"{VERSIONS}{version.pk}/step/shadow/", reason="Try", backfill_since="")
    work()
    assert not Run.objects.filter(kind=Run.Kind.BACKFILL).exists()
    assert "/step/backfill/" in page_of(operator, version)
    address = f"{VERSIONS}{version.pk}/step/backfill/"
    refused = text_of(take_step(operator, address, reason="More", backfill_since=str(today() - timedelta(days=200))))
    assert "The earliest day is" in refused
    page = text_of(take_step(operator, address, follow=True, reason="More", backfill_since=str(today())))
    assert f"The past of {version} is being computed." in page
    assert ComputedRange.objects.filter(version=version, recorded_at=None).count() == 1


def test_nobody_is_asked_for_the_past_of_what_clients_write(operator: Client) -> None:
    version = make_version("contextual")
    assert "backfill_since" not in text_of(operator.get(f"{VERSIONS}{version.pk}/step/shadow/"))
