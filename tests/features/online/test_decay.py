"""A renewal leaves the same hashes in Redis, to the last bit, as publishing would at its moment."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from django_redis import get_redis_connection
from hypothesis import given
from hypothesis import strategies as st

from featurehub.lib.clock import microseconds
from features.lifecycle import version_steps
from features.materialization import recompute, refresh, renewal
from features.materialization.client_values import set_customer_features
from features.models import FeatureDefinition, Renewal
from features.online import decay
from features.online.layout import PREFIX, key_of
from features.online.restamp import restamp
from features.registry.contents import Registry
from features.registry.snapshot import registry_snapshot
from tests.factories import ago, cached, make_customer, make_event, make_purchase, make_version, store_events
from tests.hashes import hashes, make_versions, published_anew, record_published

numbers = count(1)
CHANGED_BY_DECAY = ("_behavioral", "_derived", "_behavioral:base", "recency_score", "rfm_score")
# Hours before now. An older event would leave the window before the renewal, and its customer would not be renewed.
hours = st.floats(0.01, 30 * 24 - 25)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the customers that a renewal publishes as a whole."""
    return record_published(monkeypatch, renewal)


def renew(*, after: timedelta) -> datetime:
    """Renew everybody as if so much time had passed. Return the moment."""
    as_of = datetime.now(UTC) + after
    Renewal.objects.update(renewed_at=as_of)
    for customer_ids, computed_us in renewal.renewable(range(256), as_of=as_of):
        renewal.renew_chunk(customer_ids, computed_us, as_of=as_of)
    return as_of


@pytest.mark.usefixtures("db")
@given(
    purchases=st.lists(st.lists(st.tuples(hours, st.floats(0, 1e6)), max_size=3), min_size=1, max_size=4),
    carts=st.lists(st.one_of(st.none(), st.floats(0, 1e9)), min_size=4, max_size=4),
    after=st.lists(st.floats(0, 23), min_size=1, max_size=2).map(sorted),
)
def test_what_is_renewed_is_what_would_be_published(
    published: list[str], purchases: list[list[tuple[float, float]]], carts: list[float | None], after: list[float]
) -> None:
    if len(registry_snapshot.get().views) == 4:
        make_versions()
    Renewal.objects.update(renewed_at=None)  # an earlier example has set a later moment
    customer_ids = [f"h{next(numbers):09d}" for _ in purchases]
    for customer_id, bought, cart in zip(customer_ids, purchases, carts, strict=False):
        events = [make_purchase(amount=amount, timestamp=ago(hours=hour)) for hour, amount in bought]
        make_customer(customer_id, events=events, page_view=1 + len(bought) % 2)
        if cart is not None:
            write(customer_id, cart_value=cart)
    refresh.refresh_dirty()
    published.clear()
    for passed in after:
        renew(after=timedelta(hours=passed))
    assert not set(published) & set(customer_ids)
    for customer_id in customer_ids:
        renewed = hashes(customer_id)
        assert len(renewed) == 4
        assert renewed == published_anew(customer_id)


def write(customer_id: str, *, version: str = "1.0", **features: float) -> None:
    set_customer_features(customer_id, feature_type="contextual", version=version, features=features)
    refresh.refresh_dirty()


@pytest.mark.usefixtures("db")
def test_every_version_gets_the_moment_and_its_ttl_back() -> None:
    make_versions()
    make_customer("c1", events=[make_purchase(timestamp=ago(days=3))], page_view=2)
    write("c1", cart_value=20)
    write("c1", version="2.0", coupons=1)
    before = hashes()
    assert len(before) == 4
    for key in before:
        get_redis_connection("default").expire(key, 5)
    as_of = renew(after=timedelta(hours=2))
    moments = {text[:17] for held in hashes().values() for field, text in held.items()
               if field in ("_behavioral", "_derived")}  # fmt: skip
    assert moments == {f"{int(as_of.timestamp()) * 1_000_000 + as_of.microsecond:017d}"}
    assert all(get_redis_connection("default").ttl(key) > 3000 for key in before)
    shadow = key_of("c1", ":behavioral:2.0")
    assert float(hashes()[shadow]["recent_views"]) == pytest.approx(
        float(before[shadow]["recent_views"]) * 0.5 ** (2 / 24 / 3.5), rel=1e-6
    )


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("lost", ["", ":behavioral:2.0", ":derived:2.0"])
def test_a_version_that_redis_has_lost_is_published_anew(published: list[str], lost: str) -> None:
    make_versions()
    make_customer("c1", events=[make_purchase(timestamp=ago(days=3))], page_view=2)
    write("c1", cart_value=20)
    before = hashes()
    get_redis_connection("default").delete(key_of("c1", lost))
    renew(after=timedelta(0))
    assert published == ["c1"]
    assert hashes().keys() == before.keys()


@pytest.mark.usefixtures("db")
def test_a_hash_without_a_decay_snapshot_is_published_anew(published: list[str]) -> None:
    make_customer("c1", purchase=1)
    get_redis_connection("default").hdel(f"{PREFIX}c1", "_behavioral:base")
    renew(after=timedelta(0))
    assert published == ["c1"]
    published.clear()
    renew(after=timedelta(0))
    assert published == []


@pytest.mark.usefixtures("db")
def test_a_hash_whose_decay_snapshot_is_of_other_names_is_published_anew(published: list[str]) -> None:
    """The snapshot has as many values as expected, but of other names."""
    make_customer("c1", purchase=1)
    before = cached("c1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Registry, "read_by_derived", lambda known, view: ("page_views_30d", "purchases_30d"))
        recompute.recompute_customers(customer_ids=["c1"])
    assert len(before["_behavioral:base"]) == len(cached("c1")["_behavioral:base"])
    published.clear()
    renew(after=timedelta(0))
    assert published == ["c1"]
    assert {**cached("c1"), **dict.fromkeys(CHANGED_BY_DECAY)} == {**before, **dict.fromkeys(CHANGED_BY_DECAY)}


@pytest.mark.usefixtures("db")
def test_a_hash_of_an_earlier_computation_is_published_anew_though_nothing_was_appended(published: list[str]) -> None:
    make_customer("c1", page_view=1)
    earlier = get_redis_connection("default").hgetall(f"{PREFIX}c1")
    recompute.recompute_customers(customer_ids=["c1"])
    get_redis_connection("default").hset(f"{PREFIX}c1", mapping=earlier)  # as in a Redis that has lost its last second
    renew(after=timedelta(0))
    assert published == ["c1"]


@pytest.mark.usefixtures("db")
def test_what_is_published_between_the_reading_and_the_writing_of_a_renewal_stays() -> None:
    make_customer("c1", events=[make_purchase(timestamp=ago(days=3))])
    as_of = datetime.now(UTC) + timedelta(minutes=1)
    ((customer_ids, computed_us),) = renewal.renewable(range(256), as_of=as_of)
    held = decay.read_hash_columns(customer_ids, known=registry_snapshot.get())
    store_events(make_event())
    refresh.refresh_dirty()
    newer = cached("c1")
    (live,), wrong = decay.decayed_hashes(customer_ids, computed_us, held=held, as_of=as_of)
    assert (wrong, restamp(live, as_of_us=microseconds(as_of))) == ([], ["c1"])
    assert cached("c1") == newer


@pytest.mark.usefixtures("db")
def test_a_hash_of_a_later_moment_is_left_alone() -> None:
    make_customer("c1", purchase=1)
    renew(after=timedelta(hours=1))
    later = hashes()
    renew(after=timedelta(minutes=30))
    assert hashes() == later


@pytest.mark.usefixtures("db")
def test_a_derived_value_that_is_missing_after_decay_is_deleted() -> None:
    make_version("derived", fresh={"expression": "where(recency_score > 0.5, 1, 0 / 0)"}, state="live")
    make_customer("c1", events=[make_purchase(timestamp=ago(days=14, hours=23))])
    assert cached("c1")["fresh"] == "1.0"
    renew(after=timedelta(hours=2))
    assert "fresh" not in cached("c1")
    assert "rfm_score" in cached("c1")


@pytest.mark.usefixtures("db")
def test_that_a_customer_has_no_derived_values_is_renewed_like_values(published: list[str]) -> None:
    version = make_version("derived", warm_cart={"expression": "cart_value * recency_score"})
    version.definitions.remove(FeatureDefinition.objects.get(name="rfm_score"))
    version_steps.put_into_shadow(version.pk, by=None, reason="A test")
    make_customer("c1", page_view=1)
    before = cached("c1", ":derived:2.0")
    assert "warm_cart" not in before
    renew(after=timedelta(hours=1))
    assert published == []
    assert cached("c1", ":derived:2.0")["_derived"] > before["_derived"]
    write("c1", cart_value=1)
    assert cached("c1", ":derived:2.0")["warm_cart"] == "0.0"


@pytest.mark.parametrize("text", ["", "nonsense", "1,2", "A" * 95 + "=", "A" * 95 + "\n", "-" * 96, "A" * 64, "A" * 96])
@pytest.mark.usefixtures("db")
def test_a_snapshot_that_cannot_be_read_holds_up_nobody(published: list[str], text: str) -> None:
    for customer_id in ("c1", "c2"):
        make_customer(customer_id, page_view=1)
    right = cached("c1")["_behavioral:base"]
    get_redis_connection("default").hset(key_of("c1"), "_behavioral:base", text)
    renew(after=timedelta(hours=1))
    assert published == ["c1"]
    assert cached("c1")["_behavioral:base"] == right
