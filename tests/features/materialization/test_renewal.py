"""Renewals before the TTL ends: decayed values are published, nothing else is read or written."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from events.models import Event
from events.partitions import make_partitions
from features.materialization import recompute, refresh, renewal
from features.models import Customer, Renewal, Run
from features.online import layout, store
from features.online.publish import current_hashes, publish
from features.online.store import PublishedVersion
from tests.factories import ago, cached, make_customer, make_event, make_purchase, rows_of, store_events
from tests.reference import parse_stamp

pytestmark = pytest.mark.usefixtures("db")


def renew_all() -> int:
    """Renew all active customers. Return the number of buckets."""
    Renewal.objects.update(due_at=Now())
    renewed = 0
    while buckets := renewal.renew():
        renewed += buckets
    return renewed


def ttl(customer_id: str) -> int:
    return int(get_redis_connection("default").ttl(layout.key_of(customer_id)))


def shorten(customer_id: str) -> None:
    get_redis_connection("default").expire(layout.key_of(customer_id), 5)


def moment(customer_id: str) -> datetime:
    return parse_stamp(cached(customer_id)["_behavioral"].encode())[0]


def test_every_bucket_is_renewed_once_and_is_then_not_due() -> None:
    assert renew_all() == 256
    assert renewal.renew() == 0


def test_a_renewal_gives_the_ttl_back_and_a_new_moment() -> None:
    make_customer("c1", page_view=2)
    before = moment("c1")
    shorten("c1")
    renew_all()
    assert ttl("c1") > 3000
    assert moment("c1") > before
    assert cached("c1")["page_views_30d"] == "2.0"
    assert len(rows_of("c1")) == 1


def test_the_recency_decays_and_so_does_what_is_derived_from_it() -> None:
    make_customer("c1", events=[make_purchase(amount=500)])
    with connection.cursor() as cursor:  # move the purchase, and all that was computed of it, to ten days earlier
        cursor.execute("alter table features_customerfeature disable trigger user")
        cursor.execute(
            "update features_customerfeature set metadata = jsonb_set(metadata, '{activity,last_purchase_us}', "
            "to_jsonb((metadata #>> '{activity,last_purchase_us}')::bigint - 864000000000)) "
            "where feature_type = 'behavioral'"
        )
        cursor.execute("alter table features_customerfeature enable trigger user")
    get_redis_connection("default").delete(layout.key_of("c1"))
    publish(["c1"])
    before = cached("c1")
    renew_all()
    after = cached("c1")
    assert float(after["recency_score"]) < float(before["recency_score"]) == pytest.approx(2 / 3, abs=1e-4)
    expected = (float(after["recency_score"]) + 0.1 + 0.5) / 3
    assert float(after["rfm_score"]) == pytest.approx(expected, abs=1e-12)
    assert {name for name in after if after[name] != before[name]} == {
        "recency_score", "rfm_score", "_behavioral", "_derived",
    }  # fmt: skip


def test_what_is_renewed_is_what_would_be_published_anew() -> None:
    make_customer("c1", events=[make_purchase(amount=12.5, timestamp=ago(days=3))], page_view=3)
    make_customer("c2", login=3)
    renew_all()
    renewed = {customer_id: cached(customer_id) for customer_id in ("c1", "c2")}
    get_redis_connection("default").delete(layout.key_of("c1"), layout.key_of("c2"))
    publish(["c1", "c2"])
    assert {customer_id: cached(customer_id) for customer_id in ("c1", "c2")} == renewed


def test_a_customer_that_redis_has_lost_is_published_anew() -> None:
    make_customer("c1", page_view=2)
    held = cached("c1")
    get_redis_connection("default").delete(layout.key_of("c1"))
    renew_all()
    assert cached("c1")["page_views_30d"] == held["page_views_30d"]
    assert ttl("c1") > 3000


def test_a_customer_that_redis_holds_an_older_row_of_is_published_anew() -> None:
    make_customer("c1", page_view=2)
    older = current_hashes(["c1"])
    make_customer("c1", page_view=1)
    get_redis_connection("default").delete(layout.key_of("c1"))
    store.write_hashes(older)  # as in a Redis that has lost its last second
    renew_all()
    assert cached("c1")["page_views_30d"] == "3.0"


def older_row_later_moment(version: PublishedVersion) -> PublishedVersion:
    """Return the version of one hash with the row before its own, a later moment, and 0 for each value."""
    (stamp,) = version.stamps
    if not stamp:
        return version
    moment, row, number = layout.parts_of_stamp(stamp.encode())
    stamps = layout.stamps([moment + 5_000_000], row_ids=[row - 1], version=number)
    zeros = {name: ["0.0"] for name in version.fields if not name.startswith("_")}
    return PublishedVersion(version.feature_type, stamps, {**version.fields, **zeros})


def test_an_older_row_that_is_published_late_does_not_replace_a_newer_one_of_an_earlier_moment() -> None:
    make_customer("c1", page_view=1)
    store_events(make_event(customer_id="c1"))
    refresh.refresh_dirty()
    newer = current_hashes(["c1"])
    get_redis_connection("default").delete(layout.key_of("c1"))
    store.write_hashes(newer)
    (live,) = newer
    store.write_hashes([live._replace(versions=[older_row_later_moment(version) for version in live.versions])])
    assert cached("c1")["page_views_30d"] == "2.0"


def test_renewals_read_no_event_and_write_no_customer() -> None:
    make_customer("c1", page_view=2, purchase=1)
    with CaptureQueriesContext(connection) as queries:
        renew_all()
    statements = " ".join(query["sql"].lower() for query in queries)
    assert "events_event" not in statements
    assert "update features_customer " not in statements
    assert 'update "features_customer"' not in statements
    assert "insert into features_customerfeature" not in statements


def test_after_a_day_the_history_has_the_decayed_recency() -> None:
    make_customer("c1", events=[make_purchase(timestamp=ago(days=5))])
    recompute.recompute_customers(customer_ids=["c1"], as_of=ago(days=2))
    Customer.objects.filter(pk="c1").update(computed_at=ago(days=1, minutes=1))
    with connection.cursor() as cursor:
        cursor.execute("delete from features_customerfeature where \"timestamp\" > now() - interval '1 day'")
    renew_all()
    rows = rows_of("c1")
    assert len(rows) == 2
    assert rows[1].features["recency_score"] < rows[0].features["recency_score"]
    assert Customer.objects.get(pk="c1").computed_at > ago(minutes=1)


def test_a_customer_that_an_event_has_left_is_computed_from_its_events() -> None:
    make_customer("c1", page_view=2)
    make_partitions(ago(days=31), until=ago())
    Event.objects.filter(customer_id="c1").update(timestamp=ago(days=31))
    Customer.objects.filter(pk="c1").update(recompute_at=ago(minutes=1))
    assert refresh.refresh_departed() == 1
    assert cached("c1")["page_views_30d"] == "0.0"
    assert refresh.refresh_departed() == 0


def test_a_refresh_is_a_run_with_progress_and_an_end() -> None:
    for number in range(5):
        make_customer(f"c{number}", page_view=1)
    renew_all()
    run = Run.objects.get(kind=Run.Kind.REFRESH)
    assert (run.state, run.done, run.total) == (Run.State.DONE, 5, 5)


def test_without_active_customers_there_is_no_run() -> None:
    renew_all()
    assert not Run.objects.exists()


def test_a_bucket_whose_worker_died_is_due_again_when_its_lease_ends() -> None:
    Renewal.objects.update(due_at=Now())
    buckets, as_of = renewal.claim_buckets(4)
    assert as_of is not None
    due_at = Renewal.objects.filter(bucket__in=buckets).values_list("due_at", flat=True)
    assert {moment - as_of for moment in due_at} == {renewal.LEASE}
    again, _ = renewal.claim_buckets(4)
    assert not set(buckets) & set(again)


def test_the_age_of_the_oldest_renewal_says_whether_the_refresh_has_fallen_behind() -> None:
    now = datetime.now(UTC)
    assert renewal.seconds_since_renewal(now=now) == 0
    make_customer("c1", page_view=1)
    renew_all()
    assert renewal.seconds_since_renewal(now=datetime.now(UTC)) < 60
    Renewal.objects.filter(bucket=17).update(renewed_at=now - timedelta(hours=2))
    assert renewal.seconds_since_renewal(now=now) == pytest.approx(7200, abs=5)
