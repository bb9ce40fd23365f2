"""DELETE customers/{id}/: nothing of the customer is left, and nothing comes back."""

import pytest

from events.models import DirtyCustomer, ErasedCustomer, Event
from featurehub.access.models import Scope
from features.materialization.erasure import erase_customer
from tests.api_client import ApiClient
from tests.away import redis_away
from tests.factories import make_client, make_customer, make_event, post_events, url_of
from tests.features.materialization.test_erasure import NOTHING, everything_of


def test_the_customer_is_gone_everywhere_and_the_receipt_counts_it(api: ApiClient) -> None:
    make_customer("c1", page_view=3, purchase=1)
    make_customer("c2", page_view=1)
    receipt = api.delete(url_of("c1", "")).json()
    assert (receipt["events"], receipt["history_rows"], receipt["redis_keys"], receipt["done"]) == (4, 2, 1, True)
    assert everything_of("c1") == NOTHING
    assert everything_of("c2")["events"] == 1
    values = api.get(url_of("c1") + "?names=page_views_30d").json()
    assert values["missing"] == {"page_views_30d": "no_value"}


def test_with_redis_away_the_answer_says_that_it_is_not_done(api: ApiClient) -> None:
    make_customer("c1", page_view=3)
    with redis_away():
        answer = api.delete(url_of("c1", ""))
    assert answer.status_code == 202
    assert (answer.json()["events"], answer.json()["redis_keys"], answer.json()["done"]) == (3, None, False)
    again = api.delete(url_of("c1", ""))
    assert (again.status_code, again.json()["redis_keys"], again.json()["done"]) == (200, 1, True)
    assert everything_of("c1") == NOTHING


def test_erasing_again_finds_nothing_and_is_no_error(api: ApiClient) -> None:
    make_customer("c1", page_view=1)
    erase_customer("c1")
    again = api.delete(url_of("c1", ""))
    assert again.status_code == 200
    assert again.json()["events"] == 0


def test_later_events_are_given_back_as_refused_and_the_others_are_stored(api: ApiClient) -> None:
    erase_customer("c1")
    erase_customer("c3")
    answer = post_events(api, *[make_event(customer_id=customer_id) for customer_id in ("c2", "c1", "c4", "c3", "c1")])
    assert answer.status_code == 201
    assert answer.json() == {
        "accepted": 2,
        "duplicates": 0,
        "refused": [{"index": place, "reason": "erased"} for place in (1, 3, 4)],
    }
    assert set(Event.objects.values_list("customer_id", flat=True)) == {"c2", "c4"}
    assert set(DirtyCustomer.objects.values_list("customer_id", flat=True)) >= {"c2", "c4"}


def test_a_request_with_nothing_but_events_of_erased_customers_stores_nothing(api: ApiClient) -> None:
    erase_customer("c1")
    answer = post_events(api, make_event(customer_id="c1"))
    assert answer.status_code == 201
    assert answer.json() == {"accepted": 0, "duplicates": 0, "refused": [{"index": 0, "reason": "erased"}]}
    assert Event.objects.count() == 0


def test_later_values_are_refused(api: ApiClient) -> None:
    erase_customer("c1")
    body = {"feature_type": "contextual", "version": "1.0", "features": {"cart_value": 1.0}}
    answer = api.patch(url_of("c1"), body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "erased")
    assert everything_of("c1") == NOTHING


def test_without_its_tombstone_the_customer_is_new(api: ApiClient) -> None:
    erase_customer("c1")
    ErasedCustomer.objects.all().delete()
    assert post_events(api, make_event(customer_id="c1")).status_code == 201


@pytest.mark.parametrize("scope", [Scope.READ, Scope.INGEST])
def test_erasing_needs_the_write_scope(db: None, scope: Scope) -> None:
    assert make_client(scope).delete(url_of("c1", "")).status_code == 403
