"""The delta of a computation from stored activity gives the same hashes as publishing everything."""

from datetime import timedelta
from itertools import count
from typing import Any

import orjson
import pytest
from django_redis import get_redis_connection
from hypothesis import given
from hypothesis import strategies as st

from features.lifecycle import weight_set_steps
from features.materialization import publish_delta, recompute, renewal, runs
from features.materialization.client_values import set_customer_features
from features.materialization.rescore import rescore as rescore_chunk
from features.models import Renewal
from features.online.layout import PREFIX, key_of
from features.registry.snapshot import registry_snapshot
from tests.factories import ago, cached, make_customer, make_event, make_purchase, make_weight_set, store_events
from tests.hashes import hashes, make_versions, published_anew, record_published

numbers = count(1)
# Hours before now: in the window at the first computation, two days ago, and still at the second one.
hours = st.floats(49, 30 * 24 - 1)
weights = st.one_of(st.none(), st.tuples(st.floats(0, 1), st.floats(0.5, 200)))


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the customers that are published as a whole."""
    return record_published(monkeypatch, publish_delta)


def rescore(**changed: tuple[float, float]) -> None:
    """Activate weights, some of them changed, and re-score everybody."""
    run = weight_set_steps.activate(make_weight_set(weights=changed).pk, by=None, reason="Go")
    while rescore_chunk(run):
        pass
    assert runs.finish_rescore(run)


def renew(*, hours_ago: float) -> None:
    """Renew everybody as of an earlier moment."""
    as_of = ago(hours=hours_ago)
    for customer_ids, computed_us in renewal.renewable(range(256), as_of=as_of):
        renewal.renew_chunk(customer_ids, computed_us, as_of=as_of)


def with_metadata(held: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Return the hashes with their JSON parsed, because its keys are in no fixed order."""
    return {
        key: {field: orjson.loads(text) if field.endswith(":metadata") else text for field, text in fields.items()}
        for key, fields in held.items()
    }


@pytest.mark.usefixtures("db")
@given(
    purchases=st.lists(st.lists(st.tuples(hours, st.floats(0, 1e6)), max_size=3), min_size=1, max_size=4),
    carts=st.lists(st.one_of(st.none(), st.floats(0, 1e9)), min_size=4, max_size=4),
    page_view=weights,
    purchase=weights,
    renewed=st.booleans(),
)
def test_what_is_rescored_is_what_would_be_published(
    published: list[str],
    purchases: list[list[tuple[float, float]]],
    carts: list[float | None],
    page_view: tuple[float, float] | None,
    purchase: tuple[float, float] | None,
    renewed: bool,
) -> None:
    if len(registry_snapshot.get().views) == 4:
        make_versions()
    Renewal.objects.update(renewed_at=None)
    customer_ids = [f"d{next(numbers):09d}" for _ in purchases]
    for customer_id, bought, cart in zip(customer_ids, purchases, carts, strict=False):
        events = [make_purchase(amount=amount, timestamp=ago(hours=hour)) for hour, amount in bought]
        store_events(
            *({**event, "customer_id": customer_id} for event in [*events, make_event(timestamp=ago(hours=50))])
        )
        if cart is not None:
            set_customer_features(
                customer_id,
                feature_type="contextual",
                version="1.0",
                features={"cart_value": cart},
                timestamp=ago(hours=49),
            )
    recompute.recompute_customers(customer_ids=customer_ids, as_of=ago(hours=48))
    if renewed:
        renew(hours_ago=46)
    published.clear()
    changed = {"page_view": page_view, "purchase": purchase}
    rescore(**{name: numbers for name, numbers in changed.items() if numbers is not None})
    assert not set(published) & set(customer_ids)
    for customer_id in customer_ids:
        rescored = hashes(customer_id)
        assert len(rescored) == 4
        assert with_metadata(rescored) == with_metadata(published_anew(customer_id))


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("lost", ["", ":behavioral:2.0", ":derived:2.0"])
def test_a_version_that_redis_has_lost_is_published_as_a_whole(published: list[str], lost: str) -> None:
    make_versions()
    for customer_id in ("c1", "c2"):
        make_customer(customer_id, page_view=2, purchase=1)
    get_redis_connection("default").delete(key_of("c1", lost))
    rescore(page_view=(0.5, 10))
    assert published == ["c1"]
    assert with_metadata(hashes("c1")) == with_metadata(published_anew("c1"))


@pytest.mark.usefixtures("db")
def test_a_hash_of_an_earlier_row_is_published_as_a_whole(published: list[str]) -> None:
    make_customer("c1", page_view=1)
    earlier = get_redis_connection("default").hgetall(f"{PREFIX}c1")
    make_customer("c1", page_view=1)
    get_redis_connection("default").hset(f"{PREFIX}c1", mapping=earlier)  # as in a Redis that has lost its last second
    rescore(page_view=(0.5, 10))
    assert published == ["c1"]
    assert cached("c1")["page_views_30d"] == "2.0"


@pytest.mark.usefixtures("db")
def test_an_id_like_a_version_of_another_customer_touches_nothing_of_it(published: list[str]) -> None:
    make_versions()
    make_customer("c1", page_view=2)
    make_customer("c1:behavioral:2.0", page_view=1)
    rescore(page_view=(0.5, 10))
    assert published == []
    for customer_id in ("c1", "c1:behavioral:2.0"):
        assert with_metadata(hashes(customer_id)) == with_metadata(published_anew(customer_id))


@pytest.mark.usefixtures("db")
def test_the_ttl_of_every_hash_is_renewed() -> None:
    make_versions()
    make_customer("c1", page_view=2)
    keys = list(hashes("c1"))
    assert len(keys) == 4
    for key in keys:
        get_redis_connection("default").expire(key, 5)
    rescore(page_view=(0.5, 10))
    assert all(get_redis_connection("default").ttl(key) > timedelta(minutes=50).total_seconds() for key in keys)
