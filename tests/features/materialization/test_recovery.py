"""Recovery: what another Redis than before may lack is published and renewed again."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django_redis import get_redis_connection
from rest_framework.test import APIClient as ApiClient

from featurehub.access.models import Scope
from featurehub.lib.redis_away import REDIS_AWAY
from features import tasks
from features.materialization import refresh, renewal
from features.materialization.client_values import set_customer_features
from features.materialization.recovery import recover
from features.models import BUCKET, Customer, OnlineStore, Publication, Renewal
from features.online import layout
from features.online.identity import read_identity
from features.online.outbox import KEPT
from tests.away import redis_away
from tests.factories import ago, cached, make_client, make_customer, make_event, store_events

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def known_redis(committed: None) -> None:
    """Let PostgreSQL know which Redis holds everything."""
    recover()


def write(customer_id: str, value: float) -> None:
    set_customer_features(customer_id, feature_type="contextual", version="1.0", features={"cart_value": value})


def lose(*customer_ids: str) -> None:
    """Delete the customers' hashes, and let PostgreSQL know of another Redis than this one."""
    get_redis_connection("default").delete(*map(layout.key_of, customer_ids))
    OnlineStore.objects.update(identity="of the Redis before")


def test_the_first_redis_is_taken_as_it_is() -> None:
    OnlineStore.objects.update(identity="")
    recover()
    assert OnlineStore.objects.get().identity == read_identity()


def test_what_was_just_published_is_published_again_into_another_redis() -> None:
    write("c1", 2.0)
    lose("c1")
    for _ in range(3):
        assert OnlineStore.objects.get().identity == "of the Redis before"
        tasks.publish_overdue_task()
        assert cached("c1")["cart_value"] == "2.0"
        if OnlineStore.objects.get().identity == read_identity():
            break
    assert OnlineStore.objects.get().identity == read_identity()


def test_another_redis_does_not_hold_everything_before_a_publication_is_done() -> None:
    write("c1", 2.0)
    lose("c1")
    recover()
    recover()
    assert OnlineStore.objects.get().identity == "of the Redis before"
    tasks.publish_overdue_task()
    tasks.publish_overdue_task()
    assert OnlineStore.objects.get().identity == read_identity()


def test_computed_values_are_published_again_too() -> None:
    store_events(make_event())
    refresh.refresh_dirty()
    lose("c1")
    tasks.publish_overdue_task()
    assert cached("c1")["page_views_30d"] == "1.0"


def test_customers_that_were_just_renewed_are_renewed_again() -> None:
    make_customer("c1", page_view=2)
    Renewal.objects.update(due_at=Now())
    while renewal.renew():
        pass
    renewed_at = Renewal.objects.get(bucket=Customer.objects.values_list(BUCKET, flat=True).get(pk="c1")).renewed_at
    lose("c1")
    recover()
    assert Renewal.objects.filter(due_at__lte=Now()).count() == 256
    while renewal.renew():
        pass
    tasks.publish_overdue_task()
    again = Renewal.objects.get(bucket=Customer.objects.values_list(BUCKET, flat=True).get(pk="c1")).renewed_at
    assert (again or ago(days=1)) > (renewed_at or ago(days=1))
    assert cached("c1")["page_views_30d"] == "2.0"
    tasks.publish_overdue_task()
    assert OnlineStore.objects.get().identity == read_identity()


def test_publications_are_kept_for_some_seconds_and_no_longer() -> None:
    write("c1", 2.0)
    recover()
    assert Publication.objects.count() == 1
    Publication.objects.update(published_at=Now() - KEPT + timedelta(seconds=2))
    recover()
    assert Publication.objects.count() == 1
    Publication.objects.update(published_at=Now() - KEPT)
    recover()
    assert Publication.objects.count() == 0


def test_publications_are_kept_while_redis_is_away_or_another() -> None:
    write("c1", 2.0)
    Publication.objects.update(published_at=Now() - 10 * KEPT)
    with redis_away(), pytest.raises(REDIS_AWAY):
        recover()
    OnlineStore.objects.update(identity="of the Redis before")
    recover()
    assert Publication.objects.filter(published_at=None).count() == 1


def test_what_redis_did_not_take_is_left_to_the_sweep_at_once() -> None:
    store_events(make_event())
    with redis_away(), pytest.raises(REDIS_AWAY):
        refresh.refresh_dirty()
    tasks.publish_overdue_task()
    assert cached("c1")["page_views_30d"] == "1.0"


def test_buckets_that_redis_did_not_renew_are_due_at_once() -> None:
    make_customer("c1", page_view=2)
    bucket = Customer.objects.values_list(BUCKET, flat=True).get(pk="c1")
    Renewal.objects.update(due_at=Now() + timedelta(days=1))
    due = Renewal.objects.filter(bucket=bucket, due_at__lte=Now())
    due_at_first = Renewal.objects.filter(bucket=bucket)
    due_at_first.update(due_at=Now())
    with redis_away(), pytest.raises(REDIS_AWAY):
        renewal.renew()
    assert due.exists()
    while renewal.renew():
        pass
    assert not due.exists()


def test_a_full_redis_holds_nothing_older(request: pytest.FixtureRequest) -> None:
    api: ApiClient = make_client(Scope.READ)
    write("c1", 1.0)
    assert cached("c1")["cart_value"] == "1.0"
    request.getfixturevalue("full_redis")
    write("c1", 2.0)
    assert cached("c1") == {}
    answer = api.get("/api/v1/customers/c1/features/", {"names": "cart_value"}).json()
    assert (answer["features"], answer["source"]) == ({"cart_value": 2.0}, "database")
