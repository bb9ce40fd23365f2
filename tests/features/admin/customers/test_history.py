"""The history in the admin."""

import pytest
from django.test import Client

from features.materialization.client_values import set_customer_features
from tests.factories import ago, make_customer, make_event
from tests.staff import log_in

pytestmark = pytest.mark.django_db
HISTORY = "/admin/features/customerfeature/"


@pytest.fixture
def operator() -> Client:
    return log_in("operator")


def rows(client: Client, query: str = "") -> list[tuple[str, str]]:
    response = client.get(f"{HISTORY}?{query}")
    assert response.status_code == 200
    return [(row.customer_id, row.feature_type) for row in response.context["cl"].result_list]


def test_the_history_is_found_by_customer_type_and_day(operator: Client) -> None:
    make_customer("a", login=1)
    set_customer_features(
        "b", feature_type="customer", version="1.0", features={"tenure_days": 3.0}, timestamp=ago(days=9)
    )
    assert rows(operator, "q=a") == [("a", "derived"), ("a", "behavioral")]
    assert rows(operator, "feature_type__exact=customer") == [("b", "customer")]
    assert rows(operator, "version=1.0&feature_type__exact=derived") == [("a", "derived")]
    assert rows(operator, "version=2.0") == []
    assert rows(operator, f"timestamp_to={ago(days=5).date()}") == [("b", "customer")]
    assert rows(operator, "q=%20b%20") == [("b", "customer")]


def test_a_row_of_history_is_shown_and_never_changed(operator: Client) -> None:
    make_customer("a", events=[make_event()])
    pk = operator.get(f"{HISTORY}?q=a").context["cl"].result_list[-1].pk
    page = operator.get(f"{HISTORY}{pk}/change/").content.decode()
    assert "last_purchase_us" in page
    assert log_in(is_superuser=True).post(f"{HISTORY}{pk}/change/", {"version": "2"}).status_code == 403


def test_an_empty_history_says_what_would_fill_it(operator: Client) -> None:
    assert "No history yet" in operator.get(HISTORY).content.decode()
